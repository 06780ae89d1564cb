"""Drift as the real engine tells it: what differs, what is gone, and nothing of what is as it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.report import events
from mlflow_backend.report.build import PreviewInputs, build
from mlflow_backend.report.model import Drift
from tests.tools.projects import Project, lay_out_programs

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.engine

KEPT = '''
from pathlib import Path

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, ResourceProvider


class FileProvider(ResourceProvider):
    """A file with a text."""

    def create(self, props):
        Path(props["path"]).write_text(props["text"])
        return CreateResult(props["path"], props)

    def read(self, id_, props):
        path = Path(props["path"])
        return ReadResult(id_, {**props, "text": path.read_text()}) if path.exists() else ReadResult("", {})


class File(Resource, module="trial", name="File"):
    """Reads what somebody else may have changed."""
'''
PROGRAM = """
from kept import File, FileProvider

for name in ("same", "changed", "gone"):
    File(FileProvider(), name, {"path": f"%s/{name}", "text": "as it was made"})
"""


class LoggedProject(Project):
    """A program whose previews' events are kept."""

    @property
    def environment(self) -> dict[str, str]:
        """Pulumi shows its event log only with its debugging commands, as the Automation API asks for them."""
        return {**super().environment, "PULUMI_DEBUG_COMMANDS": "true"}


def test_a_refreshing_preview_shows_what_differs_from_the_state(tmp_path: Path) -> None:
    """A resource that somebody changed differs in a property, one that somebody deleted is gone."""
    programs = tmp_path / "programs"
    programs.mkdir()
    lay_out_programs(programs)
    project = LoggedProject(tmp_path / "project", programs)
    (project.folder / "kept.py").write_text(KEPT)
    files = tmp_path / "files"
    files.mkdir()
    project.program(PROGRAM % files)
    project.must("up", "--yes", "--skip-preview")
    (files / "changed").write_text("by somebody")
    (files / "gone").unlink()
    log = tmp_path / "events.jsonl"
    project.must("preview", "--refresh", "--event-log", str(log))
    stream = events.read(log.read_text(encoding="utf-8").splitlines())
    report = build(stream, PreviewInputs(stack="dev", created_at="2026-01-01T00:00:00Z", code=0, refreshed=True))
    kind = "pulumi-python:dynamic/trial:File"
    assert sorted(report.drift or (), key=lambda each: each.name) == [
        Drift(name="changed", type=kind, gone=False, properties=("text",)),
        Drift(name="gone", type=kind, gone=True),
    ]
