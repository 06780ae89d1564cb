"""The folder of a local stack, and how files in it are written.

Owns the layout and the atomic writes. Does not own what stands in the files.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mlflow_backend.caches import opened_lock
from mlflow_backend.contract import PlatformFailed, next_step
from mlflow_backend.pace import wait_until
from mlflow_backend.releases.stores import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PRIVATE_FILE = 0o600
PRIVATE_FOLDER = 0o700
# Nobody holds a lock for longer but a switch whose old server has a request of many minutes to answer.
LOCK_WAIT_S = 600.0


@dataclass(frozen=True)
class _Below:
    """A path below a stack's folder."""

    name: str

    def __get__(self, state: StateDir, _owner: type) -> Path:
        return state.path / self.name


@dataclass(frozen=True)
class StateDir:
    """The folder of one local stack; two stacks share nothing below it."""

    path: Path

    credentials = _Below("credentials")
    """Generated secrets, one file each, mode 600."""
    programs = _Below("programs")
    """One manifest a supervised program."""
    logs = _Below("logs")
    """Rotated output of every program."""
    supervisor = _Below("supervisor")
    """Configuration, process id and log of supervisord."""
    database = _Below("database")
    """The Postgres data directory."""
    postgres_major = _Below("postgres-major")
    """The major version of Postgres, if it is not the main one of this machine."""
    cache = _Below("cache")
    """Valkey's append-only file and its access list."""
    store = _Below("store")
    """Root of the S3 server: one folder a bucket."""
    front = _Below("front")
    """Configuration of the proxy on the public port."""
    temporary = _Below("temporary")
    """Temporary files of the servers: MLflow leaves some behind, here they go with the backend."""
    revisions = _Below("revisions")
    """One immutable folder a revision."""
    backend_store = _Below("backend-store")
    """Ledger, dumps and journals: a root of its own, which the stack's S3 server does not serve."""
    monitoring = _Below("monitoring")
    """Configuration and data of the Prometheus beside the backend."""
    active = _Below("active")
    """Address of the server that gets the traffic; the proxy reads it for every request."""
    candidate = _Below("candidate")
    """Address of a new server that no user meets yet; the proxy's second port reads it for every request."""
    report = _Below("verification.json")
    """A copy of the last verification report, whatever its verdict."""

    timer = _Below("timer.json")
    """What became of work that the timer starts: a backup that was missed while nothing ran is taken afterwards."""

    @property
    def reports(self) -> Path:
        """The folder of the backend's store that the last verification report is in."""
        return self.backend_store / ROOT / "reports"

    def tidy(self) -> None:
        """Delete what only a running backend needs; data, credentials, ports and revisions stay for the next one."""
        for folder in (self.programs, self.logs, self.supervisor, self.front, self.temporary, self.reports):
            shutil.rmtree(folder, ignore_errors=True)
        for file in (self.active, self.candidate, self.report, *self.path.glob("*.lock")):
            file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self, name: str, *, wait_s: float = LOCK_WAIT_S) -> Iterator[None]:
        """Hold the named lock of this stack, against other threads and other processes.

        Raises PlatformFailed if somebody else holds it for longer than `wait_s` seconds.
        """
        self.path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        with opened_lock(self.path / f"{name}.lock") as lock:
            if not wait_until(lambda: _taken(lock), timeout_s=wait_s):
                finding = f"another command of this stack has held the lock '{name}' for {wait_s:.0f} s"
                raise PlatformFailed(
                    finding, code="local-lock-overdue", fix="Let it end, or end it, and repeat", part=str(self.path)
                )
            yield


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def read_text(path: Path, fix: str) -> str | None:
    """Return a small text file of ours, None if there is none; bytes that are no text become replacement signs.

    Raises PlatformFailed, with this `fix`, if it cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PlatformFailed(
            error.strerror or "cannot be read", code="file-unreadable", fix=fix, part=str(path)
        ) from None


def read_object(path: Path, fix: str) -> dict[str, Any] | None:
    """Return the JSON object that a file of ours holds, None if there is no file.

    Raises PlatformFailed, with this `fix`, if it holds anything else.
    """
    text = read_text(path, fix)
    if text is None:
        return None
    try:
        document = json.loads(text)
    except ValueError:
        finding = "is empty" if not text.strip() else "is not JSON: cut short, or written over"
        raise PlatformFailed(finding, code="file-not-json", fix=fix, part=str(path)) from None
    if not isinstance(document, dict):
        raise PlatformFailed(
            "holds another kind of JSON than an object", code="file-not-an-object", fix=fix, part=str(path)
        )
    return document


def write(path: Path, text: str, *, mode: int = PRIVATE_FILE) -> None:
    """Replace a file in one step, so that no reader and no crash ever sees half of it.

    Raises PlatformFailed if the system refuses, with the file and what helps.
    """
    try:
        path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        _write(path, text, mode)
    except OSError as error:
        raise PlatformFailed(
            f"cannot be written: {error.strerror}", code="file-not-writable", fix=next_step(error), part=str(path)
        ) from None


def _write(path: Path, text: str, mode: int) -> None:
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
