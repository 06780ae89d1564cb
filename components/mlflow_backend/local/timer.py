"""The timer of a local stack: a supervised process that starts commands by their schedules, one after another.

What became of each is kept in a file, so that what was missed while nothing ran, and what was killed, runs afterwards.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mlflow_backend import schedules
from mlflow_backend.codec import CodecError, from_document, to_document
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, timed
from mlflow_backend.local.render import Program
from mlflow_backend.local.state import StateDir, read_object, write
from mlflow_backend.local.timed import Work
from mlflow_backend.schedules import WorkRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import FrameType

_POLL_S = 5.0
# A dump alone may take hours (migrate/tool.DUMP_DEADLINE_S); the next backup is due after a day.
_DEADLINE_S = 20 * 3600.0
_FINDING_LENGTH = 300


class Timer:
    """The works of one stack. Only the main thread runs it, because it takes the signal to end."""

    def __init__(self, state: StateDir, project: Path, works: Sequence[Work]) -> None:
        """Name the works; nothing is started."""
        self._state, self._project, self._works = state, project, works
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._kept = ""

    def run(self) -> None:
        """Start each work when it is due, until SIGTERM."""
        # A supervisor that was started in a shell's background hands on that SIGINT is ignored, to the commands too.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, self._end)
        known, now = records(self._state), _now()
        kept = {work.name: known.get(work.name, WorkRecord(since=now)) for work in self._works}
        while not self._stop.is_set():
            for work in self._works:
                if not self._stop.is_set():
                    kept[work.name] = schedules.settled(kept[work.name], _now())
                    self._start_if_due(work, kept)
            self._stop.wait(_POLL_S)

    def _start_if_due(self, work: Work, kept: dict[str, WorkRecord]) -> None:
        """Do a work that is due, and keep its record before and after."""
        if schedules.due(work.schedule, kept[work.name], _now()):
            kept[work.name] = kept[work.name].started(_now())
            self._keep(kept)
            kept[work.name] = self._done(work, kept[work.name])
        self._keep(kept)

    def _done(self, work: Work, record: WorkRecord) -> WorkRecord:
        """Run the commands of a work and return its record: that of unfinished work if the timer has to end."""
        path, code = self._state.logs / f"{timed.PROGRAM}-{work.name}.log", 0
        with path.open("wb") as log:
            for command in work.commands:
                code = self._run(command, log)
                if self._stop.is_set():
                    return record
                if code:
                    break
        return record.ended(_now(), exit_code=code, finding=_last_line(self._state, path) if code else "")

    def _run(self, command: Sequence[str], log: IO[bytes]) -> int:
        """Return the exit code of a command, which is interrupted at its deadline."""
        module, *arguments = command
        self._child = subprocess.Popen(
            # -P: no module of the project's folder is taken for one of ours.
            [sys.executable, "-P", "-m", f"mlflow_backend.commands.{module}", *arguments],
            cwd=self._project,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        if self._stop.is_set():
            self._child.send_signal(signal.SIGINT)
        for patience_s in (_DEADLINE_S, timed.STOP_S):
            try:
                return self._child.wait(timeout=patience_s)
            except subprocess.TimeoutExpired:
                self._child.send_signal(signal.SIGINT)
        self._child.kill()
        return self._child.wait()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._stop.set()
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)

    def _keep(self, kept: Mapping[str, WorkRecord]) -> None:
        text = json.dumps({name: to_document(record) for name, record in kept.items()}, indent=1) + "\n"
        # It is asked every few seconds, and most of the time nothing has changed.
        if text != self._kept:
            write(self._state.timer, text)
            self._kept = text


def records(state: StateDir) -> dict[str, WorkRecord]:
    """Return what became of each work, by name; nothing if the file is missing or damaged: schedules begin anew."""
    try:
        found = read_object(state.timer, "") or {}
        return {name: from_document(WorkRecord, record) for name, record in found.items()}
    except (PlatformFailed, CodecError, ValueError):
        return {}


def described(state: StateDir) -> dict[str, str]:
    """Return, by the name of each work, how it went last and when it is due next; nothing if no timer is wanted."""
    known, now = records(state), _now()
    return {
        work.name: schedules.described(work.schedule, known.get(work.name, WorkRecord(since=now)), now)
        for work in wanted(state)
    }


def wanted(state: StateDir) -> list[Work]:
    """Return the works that the timer was started with; none if no timer is wanted."""
    try:
        program = from_document(Program, read_object(state.programs / f"{timed.PROGRAM}.json", "") or {})
    except (PlatformFailed, CodecError):
        return []
    return [from_document(Work, document) for document in timed.works_of(program)]


def _last_line(state: StateDir, path: Path) -> str:
    said = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return credentials.redact(state, said[-1].strip())[:_FINDING_LENGTH] if said else "it said nothing"


def _now() -> datetime:
    return datetime.now(UTC)


def main(arguments: Sequence[str]) -> int:
    """Run the timer of the folder, in the project's folder, with the works that the arguments describe."""
    folder, project, *documents = arguments
    works = [from_document(Work, json.loads(document)) for document in documents]
    Timer(StateDir(Path(folder)), Path(project), works).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
