"""The temporary folder: what a killed server left goes, and nobody fills it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from mlflow_backend_server import temporary
from mlflow_backend_server.health.states import Away
from mlflow_backend_server.settings import Settings
from mlflow_backend_server.temporary import Space

from tests.server.filters import STACKS, Answered
from tests.server.filters import filter_of as plain_filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from mlflow_backend_server.request_filter import RequestFilter

MEBI = 1024 * 1024
BUDGET = 8 * MEBI
UPLOADS = ("/api/2.0/mlflow-artifacts/artifacts/a/b.bin", "/ajax-api/2.0/mlflow/upload-artifact")
DOWNLOADS = (
    "/api/2.0/mlflow-artifacts/artifacts/a/b.bin",
    "/ajax-api/2.0/mlflow-artifacts/artifacts/a/b.bin",
    "/get-artifact",
    "/model-versions/get-artifact",
    "/ajax-api/2.0/mlflow/get-trace-artifact",
    "/ajax-api/3.0/mlflow/get-trace-artifact",
    "/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files",
)


@pytest.fixture
def module_folder() -> Iterator[None]:
    """Keep what the module `tempfile` remembers."""
    before = tempfile.tempdir
    yield
    tempfile.tempdir = before


def space_of(folder: Path, budget: int = BUDGET) -> Space:
    """Return a space that is measured anew for each question."""
    ticks = iter(range(0, 10**9, 3600))
    return Space(folder, budget, clock=lambda: next(ticks))


def filter_of(space: Space) -> RequestFilter:
    """Return a request filter that lets everybody in."""
    return replace(plain_filter(Settings(), broken=False), space=space)


def fill(folder: Path, size: int, name: str = "tmpabcd1234/model.bin") -> None:
    """Leave a copy as MLflow makes it."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)


@pytest.mark.usefixtures("module_folder")
def test_what_killed_servers_left_is_removed_and_what_others_use_stays(tmp_path: Path) -> None:
    """Servers on one machine share the folder's parent; a container that starts again has its old numbers."""
    ended = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    ended.wait(timeout=30)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True) as living:
        names = {"dead": ended.pid, "own": os.getpgrp(), "living": living.pid}
        folders = {name: tmp_path / f"mlflow-backend-server-{group}" for name, group in names.items()}
        for folder in [*folders.values(), tmp_path / "mlflow-backend-server-of-somebody", tmp_path / "other"]:
            fill(folder, 10)
        told = temporary.prepare({"TMPDIR": str(tmp_path)})
        living.communicate(b"\n", timeout=30)
    assert told == {"TMPDIR": str(folders["own"])}
    assert tempfile.gettempdir() == str(folders["own"])
    assert not list(folders["own"].iterdir())
    assert folders["own"].stat().st_mode & 0o777 == 0o700
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {folders["own"].name, folders["living"].name, "mlflow-backend-server-of-somebody", "other"}


def test_room_is_what_all_writers_together_leave(tmp_path: Path) -> None:
    """Whoever wrote it and however deep it lies; and never more than the disk has."""
    space = space_of(tmp_path)
    assert space.room() == BUDGET
    fill(tmp_path, 3 * MEBI)
    fill(tmp_path, 2 * MEBI, "spool-x")
    assert BUDGET - 6 * MEBI < space.room() <= BUDGET - 5 * MEBI
    fill(tmp_path, BUDGET, "deep/er/file")
    assert space.room() == 0
    assert Space(tmp_path, 0).room() > 0
    assert Space(tmp_path, 0, spare=2**62).room() == 0


def test_the_component_names_a_folder_that_is_full_or_gone(tmp_path: Path) -> None:
    """A server without temporary space can neither take nor give artifacts."""
    folder = tmp_path / "t"
    folder.mkdir()
    space = space_of(folder)
    assert "left" in space.ask()
    fill(folder, BUDGET)
    with pytest.raises(Away, match="full"):
        space.ask()
    for path in (folder / "tmpabcd1234/model.bin", folder / "tmpabcd1234"):
        path.unlink() if path.is_file() else path.rmdir()
    folder.rmdir()
    with pytest.raises(Away, match="Nothing can be written"):
        space.ask()


@STACKS
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize("path", UPLOADS)
def test_bodies_without_room_are_put_off(
    through: Callable[..., Answered], tmp_path: Path, path: str, *, announced: bool
) -> None:
    """Before a byte is taken if their length is known, else while they come; the client learns when to come again."""
    fill(tmp_path, BUDGET - 100)
    body = b"x" * (2 * MEBI)
    headers = {"content-length": str(len(body))} if announced else {}
    answer = through(filter_of(space_of(tmp_path)), "PUT", path, headers, body)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert bool(answer.seen) is not announced


@STACKS
def test_a_body_that_never_fits_is_refused_for_good(through: Callable[..., Answered], tmp_path: Path) -> None:
    """Coming again would not help."""
    answer = through(filter_of(space_of(tmp_path)), "PUT", UPLOADS[0], {"content-length": str(BUDGET + 1)}, b"")
    assert answer.status == 413
    assert str(BUDGET).encode() in answer.body


@STACKS
@pytest.mark.parametrize("path", DOWNLOADS)
def test_downloads_are_put_off_while_there_is_no_room(
    through: Callable[..., Answered], tmp_path: Path, path: str
) -> None:
    """MLflow would copy the artifact first."""
    request_filter = filter_of(space_of(tmp_path))
    assert through(request_filter, "GET", path, {}, b"").status == 200
    fill(tmp_path, BUDGET)
    answer = through(request_filter, "GET", path, {}, b"")
    assert (answer.status, answer.seen) == (503, [])
    assert "retry-after" in answer.headers


@STACKS
@pytest.mark.parametrize("size", [0, 100, MEBI])
def test_small_requests_pass_whatever_is_full(through: Callable[..., Answered], tmp_path: Path, size: int) -> None:
    """Runs are logged on: such a body stays in memory."""
    fill(tmp_path, BUDGET)
    request_filter = filter_of(space_of(tmp_path))
    answer = through(
        request_filter, "POST", "/api/2.0/mlflow/runs/log-batch", {"content-length": str(size)}, b"x" * size
    )
    assert answer.status == 200


def test_a_spooled_body_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without a name would be seen by nobody who measures the folder."""
    from mlflow_backend_server.http.bridge import _in_a_file  # noqa: PLC0415

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with _in_a_file(io.BytesIO(b"x" * MEBI)) as spool:
        spool.flush()
        assert space_of(tmp_path).room() <= BUDGET - MEBI
    spooled: Any = space_of(tmp_path).room()
    assert spooled == BUDGET
