"""Dumps in a folder: whole or not there, for nobody else to read, and errors that name the file."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from mlflow_backend_server.db.objects import open_store
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = b"x" * 3_000_000


def test_a_file_is_there_when_its_writer_has_ended_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    """A path may hold what an address has to escape."""
    folder = tmp_path / "a b%c?#ü" / "dumps"
    store = open_store(folder.as_uri())
    with store.writing("tracking.dump") as write:
        write(CONTENT[:1_000_000])
        write(CONTENT[1_000_000:])
        assert not (folder / "tracking.dump").exists()
    assert b"".join(store.reading("tracking.dump")) == CONTENT
    assert [path.name for path in folder.iterdir()] == ["tracking.dump"]
    assert {path.stat().st_mode & 0o077 for path in (folder, folder / "tracking.dump")} == {0}


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A pg_dump that ends in an error fails the block; what it wrote is no dump."""

    def write_half() -> None:
        with open_store(tmp_path.as_uri()).writing("tracking.dump") as write:
            write(CONTENT)
            raise RuntimeError("pg_dump failed")

    with pytest.raises(RuntimeError):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands for a full disk; tests/engine/releases fills a real one."""
    store = open_store(tmp_path.as_uri())
    with pytest.raises(ToolError) as refused, _files_of_at_most(1_000_000), store.writing("tracking.dump") as write:
        write(CONTENT)
    assert refused.value.code is ExitCode.UNREACHABLE
    assert str(tmp_path / "tracking.dump") in refused.value.finding
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_and_what_is_no_folder_are_named(tmp_path: Path) -> None:
    """Exit 12 as of a store that is down."""
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ToolError) as missing:
        list(open_store(tmp_path.as_uri()).reading("manifest.json"))
    with pytest.raises(ToolError) as taken, open_store((tmp_path / "file").as_uri()).writing("manifest.json"):
        pass
    assert [each.value.code for each in (missing, taken)] == [ExitCode.UNREACHABLE] * 2


def test_a_folder_of_another_machine_is_no_address() -> None:
    """Nothing is written below a host's name."""
    with pytest.raises(ToolError) as refused:
        open_store("file://elsewhere/dumps")
    assert refused.value.code is ExitCode.USAGE


@contextmanager
def _files_of_at_most(size_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
