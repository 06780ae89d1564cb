"""A small world in which migrations and rollbacks are run and killed: one database, one server, one store on disk.

It stands in for a target, never for what is under proof: the steps, the journal, the ledger and the planner are real.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed, Refused, Release, Revision, WaitOutcome
from mlflow_backend.migrate.tool import Code, Pending, Status, tool_failed
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import Dump, DumpedDatabase, VerifiedRelease
from mlflow_backend.releases.status import RollbackContext
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.schema import Direction, Heads, SchemaTable
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow_backend.target import Candidate

START = datetime(2026, 11, 1, tzinfo=UTC)
VERSIONS = ("2.9.2", "3.4.0", "3.17.2")
HEAD = {version: Heads(tracking=f"head-{version}") for version in VERSIONS}
TABLE = SchemaTable(heads=HEAD, revisions={"tracking": tuple(f"head-{version}" for version in VERSIONS), "auth": ()})


class Killed(BaseException):
    """The process ended here; nothing of it runs on, not even an `except Exception`."""


class World:
    """A backend whose database holds a schema and rows, and whose server runs a revision."""

    def __init__(self, folder: Path, versions: dict[str, str], *, live: str) -> None:
        """Take the revisions' MLflow versions, oldest first; the last one serves on a database of version `live`."""
        self.versions = versions
        self.platform: Any = self
        self.database: dict[str, Any] = {"head": HEAD[live].tracking, "rows": 0}
        self.kept: list[dict[str, Any]] = []
        self.running: str | None = list(versions)[-1]
        self.servers = {self.running}
        self.calls: list[str] = []
        self.kill_at: tuple[int, bool] | None = None
        self.failing: dict[str, list[Exception]] = {}
        self.store = KillableStore(folder, self)
        self.ledger = Ledger(self.store, by="ada@host")
        self.migration = Journal(self.store, "migration")
        self.rollback = Journal(self.store, "rollback")
        self.dumps: dict[str, dict[str, Any]] = {}
        self.red: set[str] = set()
        self.broken: set[str] = set()
        self.left_at: str | None = None
        self.away = 0
        self.breaking = True
        self.deploying: str | None = None
        self.another = False
        for revision, version in versions.items():
            self.ledger.add_release(self.verified(revision, version))
        self.calls.clear()

    @staticmethod
    def verified(revision: str, version: str) -> VerifiedRelease:
        """Return the ledger's record of a revision."""
        return VerifiedRelease(
            target="local",
            revision=revision,
            mlflow_version=version,
            environment_lock="lock",
            heads=HEAD[version],
            settings_hash=f"s{revision}",
            verification_id="v",
            verdict="pass",
        )

    @property
    def deeds(self) -> list[str]:
        """What was done, without the writes of ledger and journal."""
        return [call for call in self.calls if call != "write"]

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Do something that can be killed just before or just after it took effect, or fail."""
        self.calls.append(what)
        if self.kill_at == (len(self.calls), False):
            raise Killed(what)
        if self.failing.get(what):
            self.database["head"] = self.left_at or self.database["head"]
            raise self.failing[what].pop(0)
        yield
        if self.kill_at == (len(self.calls), True):
            raise Killed(what)

    # The schema and its dumps.

    def heads(self) -> Heads | None:
        """Return the database's head, None while it is away after a failed dump."""
        if self.deeds[-1:] == ["dump"] and self.away:
            self.away -= 1
            return None
        return Heads(tracking=self.database["head"])

    def tool(self, version: str) -> Tool:
        """Return the database tool of a version."""
        return Tool(self, version)

    def dump(self, version: str) -> Dump:
        """Keep a copy of the database."""
        with self.doing("dump"):
            name = f"d{len(self.dumps) + 1}"
            self.dumps[name] = dict(self.database)
            entry = DumpedDatabase(object="x", sha256="0", size_bytes=1, head=self.database["head"])
            return Dump(id=name, address=name, mlflow_version=version, taken_at=START, databases={"tracking": entry})

    def restore(self, dump: Dump, version: str) -> None:
        """Put a copy in the database's place; the old one is kept."""
        del version
        with self.doing("restore"):
            assert self.running is None, "a restore under a running server"
            self.kept.append(self.database)
            self.database = dict(self.dumps[dump.id])

    def undo_restore(self) -> None:
        """Put the kept database back."""
        with self.doing("undo"):
            self.database, self.kept[-1] = self.kept[-1], self.database

    def drop_kept(self) -> tuple[str, ...]:
        """Forget the databases that were kept."""
        dropped, self.kept = tuple(str(database["head"]) for database in self.kept), []
        return dropped

    # The servers.

    def serving(self) -> str | None:
        """Return what runs."""
        return self.running

    def stop_servers(self) -> None:
        """Stop it."""
        with self.doing("stop"):
            self.running = None
            self.servers.clear()

    def busy(self) -> str | None:
        """Say what an update does."""
        return self.deploying

    def stop_deployment(self) -> None:
        """End the update, which may have migrated just before."""
        self.deploying = None
        self.database["head"] = self.left_at or self.database["head"]

    def losses(self, dump: Dump) -> dict[str, int]:
        """Count the rows that are not in the dump."""
        lost = self.database["rows"] - self.dumps[dump.id]["rows"]
        return {"runs": lost} if lost else {}

    def stage(self, revision: str) -> Candidate | None:
        """Return nothing: a revision is not served apart here."""
        del revision

    def verify_apart(self, candidate: Candidate, *, profile: str, deadline_s: float) -> Report:
        """Refuse what is never staged."""
        raise AssertionError(candidate, profile, deadline_s)

    def start_servers(self, revision: str) -> None:
        """Start a revision, whose MLflow starts on its own schema only; killed in it, the one before runs on."""
        with self.doing("start"):
            if revision in self.broken:
                raise RuntimeError(f"revision {revision} ended while it started")
            assert self.heads() == HEAD[self.versions[revision]], "a server on a database that is not at its head"
            self.running = revision
            self.servers.add(revision)
        self.servers = {revision}

    def serve(self, revision: str) -> None:
        """Start a revision, which runs when this returns."""
        self.start_servers(revision)

    def wait(self, revision: str) -> WaitOutcome:
        """Return whether it runs."""
        with self.doing("wait"):
            return WaitOutcome(serving=self.running == revision)

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Return a red report for the revisions that are to fail."""
        with self.doing("verify"):
            verdict = Result.FAIL if revision in self.red else Result.PASS
            report = Report(url="http://x", profile=profile, deadline_s=deadline_s, started="now")
            return replace(report, verdict=verdict, served_revision=revision)

    def release(self, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        """Return the record of a revision."""
        found = self.verified(revision, self.versions[revision])
        return replace(found, verification_id=verification_id, verdict=verdict)

    @contextlib.contextmanager
    def rollback_lock(self) -> Iterator[None]:
        """Hold the lock of rollbacks, unless another one holds it."""
        if self.another:
            raise Refused(
                "Another rollback of this stack is running.",
                code="local-rollback-running",
                fix="Let it end, and repeat.",
            )
        yield

    def rollback_context(self, *, verify_checksums: bool = True) -> RollbackContext:
        """Return what a plan is made from."""
        del verify_checksums
        return RollbackContext(
            target="local",
            current=self.running,
            revisions=tuple(
                Revision(
                    id=revision,
                    release=Release(revision=revision, mlflow_version=version, environment_lock="lock"),
                    state="serving" if revision == self.running else "stopped",
                    created_at=START + timedelta(hours=int(revision)),
                )
                for revision, version in reversed(self.versions.items())
            ),
            live=self.heads(),
            contents=self.ledger.read(),
            table=TABLE,
            restorable=frozenset(self.dumps),
            busy=self.deploying,
        )


class KillableStore(FileStore):
    """A store on disk, before and after each write of which the process may end."""

    def __init__(self, folder: Path, world: World) -> None:
        """Name the folder and the world whose end it is."""
        super().__init__(folder)
        self._world = world

    def create(self, key: str, content: bytes) -> bool:
        """Write a new object."""
        with self._world.doing("write"):
            return super().create(key, content)

    def replace(self, key: str, content: bytes) -> None:
        """Write an object."""
        with self._world.doing("write"):
            super().replace(key, content)

    def move(self, key: str, to: str) -> None:
        """Move an object."""
        with self._world.doing("write"):
            super().move(key, to)


class Tool:
    """The database tool of one version in the world."""

    def __init__(self, world: World, version: str) -> None:
        """Name both."""
        self._world, self._version = world, version

    def status(self) -> Status:
        """Return where the database stands."""
        with self._world.doing("status"):
            required, head = HEAD[self._version], self._world.database["head"]
            direction = TABLE.direction(head, str(required.tracking))
            pending = TABLE.pending(head, str(required.tracking)) if direction is not Direction.AHEAD else ()
            return Status(
                mlflow_version=self._version,
                direction=direction,
                reason="A reason.",
                heads=Heads(tracking=head),
                expected=required,
                pending=tuple(Pending(revision=r, title=r, breaking=self._world.breaking) for r in pending),
            )

    def upgrade(self) -> tuple[str, ...]:
        """Bring the database to the head."""
        with self._world.doing("upgrade"):
            assert not (self._world.breaking and self._world.running), "a breaking revision under a running server"
            self._world.database["head"] = HEAD[self._version].tracking
            return ("r",)


def failed(code: Code) -> PlatformFailed:
    """Return a failure of the tool."""
    return tool_failed(code, "It failed.", "Fix it.")
