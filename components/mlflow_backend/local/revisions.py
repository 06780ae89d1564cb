"""Revisions of the local target: immutable folders, numbered from 1, kept when another takes over.

Owns what a revision is on disk. Does not start or stop anything.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.codec import from_document, to_document
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import ports
from mlflow_backend.local.render import Program  # noqa: TC001 - `codec` reads the declared types
from mlflow_backend.local.state import read_object, read_text, write
from mlflow_backend.server.environment import (
    ACCESS_VARIABLE,
    ARTIFACT_LIMIT_VARIABLE,
    JOBS_VARIABLE,
    MIB,
    PREFIX_VARIABLE,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow_backend.local.state import StateDir

_DOCUMENT = "revision.json"
_LAST = "last"
_SERVER = "server-"


@dataclass(frozen=True, kw_only=True)
class Record:
    """One revision: what it runs, and on which port.

    `identity` is that of the release (`desired.DesiredServer`): by it a release is known again, whatever its number.
    """

    number: int
    mlflow_version: str
    environment_lock: str
    port: int
    program: Program
    created_at: datetime
    identity: str = ""

    @property
    def access(self) -> str:
        """Who may call the server: the access mode that it was started with."""
        return self.program.environment.get(ACCESS_VARIABLE, "none")

    @property
    def path_prefix(self) -> str:
        """The path that it is called below, empty for the root."""
        return self.program.environment.get(PREFIX_VARIABLE, "")

    @property
    def jobs(self) -> bool:
        """Whether it runs MLflow's jobs."""
        return self.program.environment.get(JOBS_VARIABLE) == "true"

    @property
    def max_artifact_mib(self) -> int:
        """The largest artifact that it takes, in MiB; 0 for no limit."""
        return int(self.program.environment.get(ARTIFACT_LIMIT_VARIABLE, "0")) // MIB

    @property
    def metrics_port(self) -> int:
        """The port of its Prometheus metrics, 0 if it has none."""
        return int(self.program.environment.get("MLFLOW_BACKEND_METRICS_PORT", "0"))

    @property
    def address(self) -> str:
        """Where the proxy finds this revision's server."""
        return f"{ports.LOOPBACK}:{self.port}"


def program_name(number: int) -> str:
    """Return the supervised program's name of a revision."""
    return f"{_SERVER}{number:05d}"


def number_of(program: str) -> int | None:
    """Return the revision whose server a supervised program is, None for one that is no server."""
    return int(program.removeprefix(_SERVER)) if program.startswith(_SERVER) else None


def list_all(state: StateDir) -> tuple[Record, ...]:
    """Return every revision that is still there, newest first."""
    return tuple(each(state))


def each(state: StateDir) -> Iterator[Record]:
    """Give every revision that is still there, newest first, each read when it is asked for."""
    folders = state.revisions.iterdir() if state.revisions.exists() else ()
    for number in sorted((int(folder.name) for folder in folders if folder.name.isdigit()), reverse=True):
        if (_folder(state, number) / _DOCUMENT).exists():
            yield load(state, number)


def active(state: StateDir) -> Record | None:
    """Return the revision that the proxy sends users to; None if there is none. Raises PlatformFailed."""
    return _at(state, state.active)


def candidate(state: StateDir) -> Record | None:
    """Return the revision that the proxy's second port leads to; None if there is none. Raises PlatformFailed."""
    return _at(state, state.candidate)


def _at(state: StateDir, path: Path) -> Record | None:
    text = read_text(path, "Move it away and run `make up`, which writes it anew")
    if text is None:
        return None
    address = text.strip()
    return next((record for record in each(state) if record.address == address), None)


def load(state: StateDir, number: int) -> Record:
    """Return one revision.

    Raises PlatformFailed if there is none of that number, PlatformFailed if its file cannot be read.
    """
    path = _folder(state, number) / _DOCUMENT
    fix = f"Put it back from a backup, or delete {path.parent}: revision {number} is then gone, `make up` makes another"
    document = read_object(path, fix)
    if document is None:
        raise PlatformFailed(
            "it does not exist", code="revision-missing", fix="List them with `make status`", part=f"revision {number}"
        )
    try:
        return from_document(Record, document)
    except ValueError:
        raise PlatformFailed("does not describe a revision", code="revision-damaged", fix=fix, part=str(path)) from None


def next_number(state: StateDir, recorded: Iterable[str] = ()) -> int:
    """Return the number that the next revision gets; numbers of dropped revisions are not used again.

    `recorded` are the revisions that the ledger knows: it outlives this folder, and must not come to mean others.
    """
    last = read_text(state.revisions / _LAST, "Move it away, and update again") or ""
    there = (path.name for path in state.revisions.iterdir()) if state.revisions.exists() else ()
    return max((int(number) for number in (last.strip(), *there, *recorded) if number.isdecimal()), default=0) + 1


def choose_port(state: StateDir, number: int) -> int:
    """Return a port that no kept revision has, so that an address says which revision answers."""
    return ports.choose(state, program_name(number))


def choose_metrics_port(state: StateDir, number: int) -> int:
    """Return the port of a revision's metrics, beside which the one before goes on until the switch is made."""
    return ports.choose(state, _metrics_name(number))


def save(state: StateDir, record: Record) -> None:
    """Write a new revision's folder in one step.

    Raises PlatformFailed if its number is taken (revisions are never rewritten), or the disk refuses.
    """
    state.revisions.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=state.revisions, prefix=".new-"))
    try:
        write(temporary / _DOCUMENT, json.dumps(to_document(record), indent=2))
        # The rename refuses a folder that exists and has something in it.
        temporary.rename(_folder(state, record.number))
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        finding = f"it cannot be written: {error.strerror}"
        raise PlatformFailed(
            finding,
            code="revision-not-saved",
            fix=f"Check {state.revisions}, and update again",
            part=f"revision {record.number}",
        ) from None
    write(state.revisions / _LAST, str(record.number))


def drop(state: StateDir, number: int) -> None:
    """Forget a revision that nothing serves."""
    shutil.rmtree(_folder(state, number), ignore_errors=True)
    (state.logs / f"{program_name(number)}.log").unlink(missing_ok=True)
    ports.forget(state, program_name(number))
    ports.forget(state, _metrics_name(number))


def _metrics_name(number: int) -> str:
    return f"{program_name(number)}-metrics"


def now() -> datetime:
    """Return the time a revision is created at, in UTC."""
    return datetime.now(UTC)


def _folder(state: StateDir, number: int) -> Path:
    return state.revisions / f"{number:05d}"
