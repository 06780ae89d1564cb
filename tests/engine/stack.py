"""A local stack under test: the project's own program, run by the real engine in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import psutil

from mlflow_backend.local import processes
from mlflow_backend.local.state import StateDir
from tests.engine.project import ROOT, Outcome, Project

_DONE = re.compile(r"unchanged|creat\w+|updat\w+|replac\w+|delet\w+|errored|same")
_VERIFICATION = "dynamic/mlflow-backend:Verification"
_STARTED = re.compile(r"spawned: '(server-\d+)'")


class LocalStack(Project):
    """One stack of the project's own program on the target `local`."""

    def __init__(self, folder: Path, name: str = "local") -> None:
        """Lay out the project; nothing is deployed."""
        super().__init__(folder, name, program=ROOT / "__main__.py")
        self.settings: dict[str, Any] = {"target": "local"}
        self.state = StateDir(self.project / ".backend" / name)
        self.write_settings()
        self.init()

    def write_settings(self, **sections: dict[str, Any]) -> None:
        """Set whole sections, and write the stack's file."""
        self.settings |= sections
        self.write_config(self.settings)

    def up(self, *flags: str) -> Outcome:
        """Run `pulumi up` with its preview, as a person does."""
        return self.pulumi("up", "--yes", "--stack", self.name, *flags)

    def server_numbers(self) -> list[int]:
        """Return the numbers of the revisions whose server has a process."""
        names = {process.environ()[processes.PROGRAM_MARKER] for process in self.processes() if _is_server(process)}
        return sorted(int(name.removeprefix("server-")) for name in names)

    def destroy(self) -> Outcome:
        """Run `pulumi destroy`, which deletes the log that starts are counted by."""
        count_starts(self.servers_started())
        return super().destroy()

    def processes(self, *programs: str) -> list[psutil.Process]:
        """Return the live processes of the stack, or those of some programs."""
        return processes.marked(str(self.state.path), *programs)

    def report(self) -> dict[str, Any]:
        """Return the last verification report."""
        return dict(json.loads(self.state.report.read_text()))

    def servers_started(self) -> int:
        """Count the MLflow servers that the supervisor started since the stack was deployed."""
        log = self.state.supervisor / "supervisord.log"
        return len(_STARTED.findall(log.read_text())) if log.exists() else 0

    def close(self) -> None:
        """Destroy what is deployed, and end what a failed test may have left; then forget the folder."""
        try:
            if (self.folder / "state" / ".pulumi").exists():
                self.destroy()
        finally:
            processes.end(self.processes(), timeout_s=5)
            shutil.rmtree(self.folder, ignore_errors=True)


def nothing_changed(text: str) -> bool:
    """Whether a command's summary says that it found nothing to do; an update only verified again."""
    summary = text.rpartition("\nResources:")[2].partition("\nDuration:")[0]
    # A slow preview ends with lines of its progress, such as `@ previewing update....`.
    lines = [line for line in summary.splitlines() if not line.startswith("@")]
    done = {word for line in lines for word in _DONE.findall(line)}
    return "unchanged" in done and done <= {"unchanged", "replaced"} and touched(text) == []


def touched(text: str) -> list[str]:
    """Return the lines of an update's text that say of a resource that it was made or changed.

    Each update replaces the verification, whatever changed.
    """
    done = (" updated ", " created ", " replaced ", " deleted ")
    return [line for line in text.splitlines() if any(word in line for word in done) and _VERIFICATION not in line]


def _is_server(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.environ().get(processes.PROGRAM_MARKER, "").startswith("server-")
    return False


def count_starts(number: int) -> None:
    """Add to the count of servers that `make test` prints for each level."""
    counter = os.environ.get("MLFLOW_BACKEND_SERVER_STARTS")
    if counter:
        with Path(counter).open("a") as stream:
            stream.write("engine\n" * number)
