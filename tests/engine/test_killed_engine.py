"""What a killed engine leaves behind: nothing that goes on, whoever started the language host."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.tools.projects import Project, lay_out_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MODULE = """
import pathlib, subprocess, threading
from pulumi.dynamic import CreateResult, DiffResult
from mlflow_backend.dynamic import Provider

HERE = pathlib.Path(__file__).parent

class Waits(Provider):
    def create(self, props):
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        (HERE / "child").write_text(str(child.pid))
        (HERE / "in-create").touch()
        threading.Event().wait()
        return CreateResult("made", {})
"""
PROGRAM = """
import pathlib, time
from pulumi.dynamic import Resource
import waits
class Made(Resource):
    def __init__(self, name):
        super().__init__(waits.Waits(), name, {})
Made("made")
"""


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait for something."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.05)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A program with a resource whose creation never ends."""
    programs = tmp_path / "programs"
    programs.mkdir()
    lay_out_programs(programs)
    made = Project(tmp_path / "project", programs)
    (made.folder / "waits.py").write_text(MODULE)
    made.program(PROGRAM)
    yield made
    for left in of(made):
        with contextlib.suppress(psutil.Error):
            left.kill()


def of(project: Project) -> list[psutil.Process]:
    """Return the processes that work in the project, and what its provider started."""
    child = project.folder / "child"
    started = int(child.read_text()) if child.exists() and child.read_text() else None
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            here = str(project.folder) in f"{process.cwd()} {process.cmdline()}"
            if process.status() != psutil.STATUS_ZOMBIE and (here or process.pid == started):
                found.append(process)
    return found


def test_a_provider_ends_with_its_killed_engine(project: Project) -> None:
    """Killed in the middle of a creation: provider, its shell and its child end; they would act beside the next one."""
    with project.start("up", "--yes", "--skip-preview") as engine:
        until((project.folder / "in-create").exists, "the provider's call")
        names = {" ".join(process.cmdline()[-3:]) for process in of(project)}
        assert any("pulumi.dynamic" in name for name in names), names
        engine.kill()
        engine.wait(timeout=30)
    until(lambda: not of(project), "the end of all that the engine started")
