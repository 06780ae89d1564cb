"""The live side of a toy backend: revisions are files, the server is one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from mlflow_backend.contract import Refused, Release, Revision, WaitOutcome
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.schema_tables import required_heads
from mlflow_backend.server import AllowedCallers
from mlflow_backend.target import Described, LogPart, PartStatus
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow_backend.schema import Heads
    from mlflow_backend.toy.locator import ToyLocator


class ToyPlatform:
    """See target.Platform."""

    target = "toy"
    dumps = ""
    artifacts = ""
    report = None
    asks_at_once = True
    start_deadline_s = 30.0

    def __init__(self, locator: ToyLocator) -> None:
        """Name the folder; nothing is read yet."""
        self.locator, self.folder = locator, Path(locator.folder)
        self.store = FileStore(self.folder)

    def record(self, release: dict[str, Any]) -> str:
        """Make a revision of a release, and return its number."""
        number = len(list(self.folder.glob("revision-*.json"))) + 1
        (self.folder / f"revision-{number}.json").write_text(json.dumps(release))
        return str(number)

    def _known(self, revision: str) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / f"revision-{revision}.json").read_text()))
        except FileNotFoundError:
            raise Refused(
                f"Revision {revision} does not exist.", code="revision-missing", fix="Choose another."
            ) from None

    def _server(self) -> tuple[str, psutil.Process] | None:
        try:
            revision, pid = (self.folder / "server").read_text().split()
            return revision, psutil.Process(int(pid))
        except (FileNotFoundError, psutil.NoSuchProcess):
            return None

    def url(self, revision: str) -> str:
        """Return the URL of a revision's server, empty before it answers."""
        path = self.folder / f"url-{revision}"
        return path.read_text() if path.exists() else ""

    def revisions(self) -> Sequence[Revision]:
        """Return the revisions, newest first."""
        numbers = sorted((path.stem.partition("-")[2] for path in self.folder.glob("revision-*.json")), key=int)
        serving = self.serving()
        return tuple(
            Revision(
                id=number,
                release=self.describe(number).release,
                state="serving" if number == serving else "stopped",
                created_at=datetime.fromtimestamp((self.folder / f"revision-{number}.json").stat().st_mtime, UTC),
            )
            for number in reversed(numbers)
        )

    def current(self) -> Revision | None:
        """Return the revision that serves."""
        return next((each for each in self.revisions() if each.state == "serving"), None)

    def activate(self, revision: str) -> None:
        """Switch to a revision."""
        self.start_servers(revision)

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until the server has told its URL."""
        end = time.monotonic() + deadline_s
        while time.monotonic() < end and self.serving() == revision:
            if self.url(revision):
                return WaitOutcome(serving=True)
            time.sleep(0.05)
        return WaitOutcome(serving=False, reasons=tuple(self.tails("server", lines=5)))

    def prune(self, *, retain: int, spared: frozenset[str]) -> Sequence[str]:
        """Drop nothing."""
        del retain, spared
        return ()

    def heads(self) -> Heads | None:
        """Return the heads of the version that serves: there is no database."""
        serving = self.serving()
        return None if serving is None else required_heads(self._known(serving)["mlflowVersion"], auth=False)

    def serving(self) -> str | None:
        """Return the revision whose process runs."""
        found = self._server()
        return found[0] if found is not None else None

    def busy(self) -> str | None:
        """Return nothing: a switch is over at once."""

    def stop_servers(self) -> None:
        """End the process."""
        if (found := self._server()) is not None:
            found[1].kill()
            psutil.wait_procs([found[1]], timeout=10)
        (self.folder / "server").unlink(missing_ok=True)

    def start_servers(self, revision: str) -> None:
        """Start a revision's process instead of the one that runs."""
        self._known(revision)
        self.stop_servers()
        path = self.folder / f"url-{revision}"
        path.unlink(missing_ok=True)
        with (self.folder / "server.log").open("a") as log:
            command = [sys.executable, str(Path(__file__).with_name("serve.py")), str(path)]
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=dict(os.environ))
        (self.folder / "server").write_text(f"{revision} {process.pid}")

    def stage(self, revision: str) -> None:
        """Return nothing: there is one process."""

    def describe(self, revision: str) -> Described:
        """Return what its file says."""
        known = self._known(revision)
        release = Release(
            revision=revision,
            mlflow_version=known["mlflowVersion"],
            environment_lock=known["identity"],
            access="none",
        )
        return Described(release=release, identity=known["identity"], callers=AllowedCallers())

    def subject(self, revision: str) -> Subject:
        """Return the URL of its server."""
        return Subject(
            url=self.url(revision) or "http://127.0.0.1:9",
            expected_version=self._known(revision)["mlflowVersion"],
            expected_revision=revision,
            locator=self.locator,
            stack=self.locator.stack,
        )

    def inside(self) -> None:
        """Return nothing: it is called from here."""

    def count(self, verdict: str) -> None:
        """Do nothing: there is no alarm."""

    def secrets(self) -> Mapping[str, Callable[[str], tuple[str, str]]]:
        """Return nothing: there are no secrets."""
        return {}

    def mark_store(self, content: bytes) -> None:
        """Do nothing: there are no artifacts beside the process."""

    def parts(self) -> Sequence[PartStatus]:
        """Return the process."""
        runs = self._server() is not None
        return (PartStatus(name="server", state="running" if runs else "not running", runs=runs),)

    def log_parts(self) -> Sequence[LogPart]:
        """Return the process."""
        return (LogPart(name="server"),)

    def tails(self, part: str, *, lines: int) -> Sequence[str]:
        """Return the last lines of its log."""
        return ["\n".join([part, *(self.folder / f"{part}.log").read_text().splitlines()[-lines:]])]
