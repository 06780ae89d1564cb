"""The command that plans an upgrade: what it asks the server for, page by page, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.commands import upgrade
from mlflow_backend.contract import ExitCode, PlatformFailed
from mlflow_backend.verify.subjects import Subject
from tests.components.verify.fake_mlflow import Asked, FakeMLflow, Reply, as_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server() -> Iterator[FakeMLflow]:
    """A server that answers as MLflow does."""
    with FakeMLflow() as started:
        yield started


@pytest.mark.parametrize(
    ("call", "items", "field"),
    [("experiments/search", "experiments", "artifact_location"), ("model-versions/search", "model_versions", "source")],
)
def test_every_page_of_locations_is_read(server: FakeMLflow, call: str, items: str, field: str) -> None:
    """A location on the last page is refused like one on the first."""
    pages = {
        "": {items: [{field: "s3://b/1"}], "next_page_token": "two"},
        "two": {items: [{field: "ftp://h/2"}, {"name": "without"}]},
    }
    server.fault = lambda asked: as_json(pages[asked.query.get("page_token", "")]) if call in asked.path else None
    found = list(upgrade._locations(Subject(url=server.url), call))
    assert found == ["s3://b/1", "ftp://h/2", ""]


def test_a_server_that_refuses_is_not_taken_for_an_empty_one(server: FakeMLflow) -> None:
    """What cannot be asked is said."""

    def fault(asked: Asked) -> Reply | None:
        return Reply(status=403) if "experiments/search" in asked.path else None

    server.fault = fault
    with pytest.raises(PlatformFailed, match="403"):
        list(upgrade._locations(Subject(url=server.url), "experiments/search"))


def test_what_is_no_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A word is no version, and is said before anything is asked."""
    assert upgrade.main(["--stack", "local", "--to", "newest"], root=tmp_path) is ExitCode.USAGE
    assert "--to" in capsys.readouterr().err
