"""The live side of a stack on this machine (target.Platform): its supervised processes, its database, its folder."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend import environments
from mlflow_backend.contract import PlatformFailed, Refused, Release, Revision, RevisionState, WaitOutcome
from mlflow_backend.identity import OBJECT
from mlflow_backend.local import environment, one_shot, ports, processes, revisions, schema, switch, timer
from mlflow_backend.local import store as artifacts
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.naming import ARTIFACT_ROOT
from mlflow_backend.local.supervisor import RUNS, Supervisor
from mlflow_backend.local.templates import TemplatedTool
from mlflow_backend.releases.stores import DUMPS, FileStore, is_locked
from mlflow_backend.server import allowed_callers
from mlflow_backend.target import Described, LogPart, PartStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from mlflow_backend.local.revisions import Record
    from mlflow_backend.local.state import StateDir
    from mlflow_backend.local.supervisor import Status
    from mlflow_backend.migrate.tool import DatabaseTool, ToolResult
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.schema import Heads
    from mlflow_backend.verify.subjects import Subject

TARGET: Final = "local"
_STOP_WAIT_S: Final = 30.0
_POLL_S: Final = 0.1


@dataclass(frozen=True)
class Runner:
    """Runs the database tool of a version, and lets it make databases for as long as it needs."""

    state: StateDir
    version: str
    users: bool = False
    """Whether the users' database is worked on although it has no schema yet."""

    def run(self, arguments: Sequence[str], *, deadline_s: float) -> ToolResult:
        """Run the tool. Raises PlatformFailed."""
        command = arguments[0]
        with contextlib.ExitStack() as around:
            if command in {"dump", "restore"}:
                one_shot.end_leftovers(self.state)
            if command in {"restore", "undo"}:
                around.enter_context(schema.allowed_to_create(self.state))
            runner = one_shot.ToolRunner(self.state, self.version, users=self.users)
            return runner.run(arguments, deadline_s=deadline_s)


class LocalPlatform:
    """One stack on this machine."""

    target = TARGET
    artifacts = ARTIFACT_ROOT
    asks_at_once = True
    start_deadline_s = switch.START_TIMEOUT_S

    def __init__(self, state: StateDir) -> None:
        """Name the stack's folder; nothing is read yet."""
        self.state = state
        self.locator = LocalLocator.of(state)
        self.store: Store = FileStore(state.backend_store)
        self.dumps = f"{state.backend_store.as_uri()}/{DUMPS}"
        self.report: Path | None = state.report

    # Revisions (contract.History).

    def revisions(self) -> Sequence[Revision]:
        """Return the revisions that are still there, newest first."""
        serving, statuses = revisions.active(self.state), Supervisor(self.state).statuses()
        return tuple(_revision(record, serving, statuses) for record in revisions.list_all(self.state))

    def current(self) -> Revision | None:
        """Return the revision that gets the traffic; None if there is none."""
        record = revisions.active(self.state)
        return None if record is None else _revision(record, record, Supervisor(self.state).statuses())

    def activate(self, revision: str) -> None:
        """Switch to an older or newer revision, and return when it serves.

        Raises Refused if it does not exist, PlatformFailed if it does not start.
        """
        switch.activate(self.state, self._record(revision))

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until a revision serves, at most so many seconds; the reasons are its last log lines."""
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            if self.serving() == revision:
                return WaitOutcome(serving=True)
            time.sleep(_POLL_S)
        name = revisions.program_name(int(revision))
        return WaitOutcome(serving=False, reasons=tuple(Supervisor(self.state).tail(name).splitlines()))

    def prune(self, *, retain: int, spared: frozenset[str]) -> Sequence[str]:
        """Drop all but the newest revisions, never the current one or a spared one; return what was dropped."""
        current = revisions.active(self.state)
        dropped = []
        for record in revisions.list_all(self.state)[retain:]:
            if str(record.number) in spared or (current is not None and current.number == record.number):
                continue
            revisions.drop(self.state, record.number)
            dropped.append(str(record.number))
        return tuple(dropped)

    # The database.

    def heads(self) -> Heads | None:
        """Return the schema heads by one query."""
        return schema.heads(self.state)

    def row_counts(self, tables: Sequence[str]) -> dict[str, int]:
        """Return the number of rows of those of the tables that exist."""
        return schema.row_counts(self.state, tables)

    def tool(self, version: str | None) -> DatabaseTool:
        """Return the database tool in a version's environment."""
        wanted = version or self._any_version()
        return TemplatedTool(Runner(self.state, wanted), self.state, wanted)

    def mark_store(self, content: bytes) -> None:
        """Write the object with the operator's key. Raises PlatformFailed."""
        store = artifacts.Store(self.state, ports.known(self.state)["store"])
        store.put(OBJECT, [content], size_bytes=len(content))

    # The servers.

    def serving(self) -> str | None:
        """Return the revision whose server runs and gets the traffic."""
        record = revisions.active(self.state)
        if record is None:
            return None
        status = Supervisor(self.state).status(record.program.name)
        return str(record.number) if status is not None and status.state in RUNS else None

    def busy(self) -> str | None:
        """Return, as a clause, what an update does right now."""
        if self.store.is_locked("migration"):
            return "an update migrates the database"
        return "an update switches revisions" if is_locked(self.state.path / "switch.lock") else None

    def stop_deployment(self) -> None:
        """End what an update is doing, and wait until it has let go. Raises PlatformFailed if it does not."""
        deadline = time.monotonic() + _STOP_WAIT_S
        serving = revisions.active(self.state)
        while self.busy() is not None:
            processes.end(processes.marked(str(self.state.path), one_shot.TOOL), timeout_s=1)
            switch.retire_others(self.state, None if serving is None else serving.number)
            if time.monotonic() > deadline:
                finding = f"it had not ended after {_STOP_WAIT_S:.0f} s"
                raise PlatformFailed(
                    finding, code="update-not-stopped", fix="End that `pulumi up` and repeat", part="the running update"
                )
            time.sleep(_POLL_S)

    def stop_servers(self) -> None:
        """End every server, and what an interrupted update or rollback still does."""
        one_shot.end_leftovers(self.state)
        switch.retire_others(self.state, None)

    def start_servers(self, revision: str) -> None:
        """Switch to a revision; if it serves already, end what a killed switch left. Raises PlatformFailed, Refused."""
        with self.state.locked("switch"):
            if self.serving() == revision:
                switch.retire_others(self.state, int(revision))
            else:
                self.activate(revision)

    def stage(self, revision: str) -> None:
        """Return nothing: the proxy's second port is for new releases, and a switch takes no time here (ADR 38)."""

    def describe(self, revision: str) -> Described:
        """Return what a revision's folder says."""
        record = self._record(revision)
        return Described(
            release=_release(record), identity=record.identity, callers=allowed_callers(record.program.argv)
        )

    def rotate_keys(self, *, lost: bool) -> str:
        """Draw new keys, or give up those whose file is lost."""
        from mlflow_backend.local import encryption  # noqa: PLC0415 - for this one command

        if lost:
            aside = encryption.give_up(self.state)
            return "The lost keys are given up." + (f" What was left of them is in {aside}." if aside else "")
        encryption.rotate(self.state)
        return "New keys are drawn."

    # Verification, and what people ask.

    def subject(self, revision: str) -> Subject:
        """Return the subject of a verification of a revision, read from the revision itself."""
        return switch.subject(self.state, self._record(revision))

    def inside(self) -> None:
        """Return nothing: the URL is called from here."""

    def count(self, verdict: str) -> None:
        """Do nothing: no alarm is here."""

    def secrets(self) -> Mapping[str, Callable[[str], tuple[str, str]]]:
        """Return nothing: secrets here are files."""
        return {}

    def parts(self) -> Iterator[PartStatus]:
        """Return every supervised program."""
        supervisor = Supervisor(self.state)
        if not supervisor.running():
            yield PartStatus(name="supervisor", state="not running (`make up` starts it)", runs=False)
            return
        yield PartStatus(name="supervisor", state="running")
        serving = revisions.active(self.state)
        for name in supervisor.programs():
            status = supervisor.status(name)
            state = "unknown" if status is None else status.state.lower()
            # supervisord calls a server 'starting' for its first 20 s, however long it has answered.
            answers = serving is not None and name == serving.program.name and ports.listens(serving.port)
            state = "running" if state == "starting" and answers else state
            yield PartStatus(name=name, state=state, runs=status is not None and status.state in RUNS)
        for name, state in timer.described(self.state).items():
            yield PartStatus(name=name, state=state)
        if serving is not None and serving.metrics_port:
            yield PartStatus(name="metrics", state=f"http://{ports.LOOPBACK}:{serving.metrics_port}/metrics")

    def log_parts(self) -> tuple[LogPart, ...]:
        """Return every program that ever wrote."""
        return tuple(LogPart(name=name) for name in sorted(path.stem for path in self.state.logs.glob("*.log")))

    def tails(self, part: str, *, lines: int) -> Iterable[str]:
        """Return the last lines of a program."""
        said = Supervisor(self.state).tail(part, lines=lines)
        return (f"{part} ({self.state.logs / f'{part}.log'})\n{said}",)

    def audit(self) -> Iterator[str]:
        """Return the servers' lines."""
        for path in self.state.logs.glob("server-*.log"):
            with path.open(encoding="utf-8", errors="replace") as log:
                yield from log

    def _record(self, revision: str) -> Record:
        known = {str(record.number): record for record in revisions.list_all(self.state)}
        if revision not in known:
            raise Refused(
                f"Revision {revision} does not exist.",
                code="local-revision-unknown",
                fix=f"Choose one of: {', '.join(known) or 'none'}.",
            )
        return known[revision]

    def _any_version(self) -> str:
        """Return an MLflow version whose environment is installed: what is asked concerns no version's own schema."""
        known = (record.mlflow_version for record in revisions.each(self.state))
        version = next((each for each in known if environments.exists(environment.locate(each))), None)
        if version is None:
            raise PlatformFailed(
                "no revision's environment is installed",
                code="no-environment-installed",
                fix="Run `make up`",
                part="database tool",
            )
        return version


def _release(record: Record) -> Release:
    return Release(
        revision=str(record.number),
        mlflow_version=record.mlflow_version,
        environment_lock=record.environment_lock,
        access=record.access,
    )


def _revision(record: Record, serving: Record | None, statuses: Mapping[str, Status]) -> Revision:
    return Revision(
        id=str(record.number),
        release=_release(record),
        state=_state_of(record, serving, statuses.get(record.program.name)),
        created_at=record.created_at,
    )


def _state_of(record: Record, serving: Record | None, status: Status | None) -> RevisionState:
    if status is None:
        # The environment that the revision was made with may have been removed.
        return "stopped" if Path(record.program.argv[0]).exists() else "gone"
    if status.state not in RUNS:
        return "failed"
    return "serving" if serving is not None and serving.number == record.number else "starting"
