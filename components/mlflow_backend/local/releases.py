"""What the local target gives to migrations and rollbacks: its ledger, its schema, its dumps, and its servers.

The rules are in mlflow_backend/migrate and mlflow_backend/releases; here stands only how each thing is done on this
machine.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import hashlib
import json
import socket
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.identity import OBJECT
from mlflow_backend.local import credentials, environment, one_shot, ports, processes, revisions, schema, switch
from mlflow_backend.local.history import LocalHistory, running_revision
from mlflow_backend.local.holding import rollback_journal
from mlflow_backend.local.naming import tracking_url
from mlflow_backend.local.state import StateDir, opened_lock, write
from mlflow_backend.local.store import Store
from mlflow_backend.local.templates import TemplatedTool
from mlflow_backend.migrate.tool import DatabaseTool
from mlflow_backend.releases import durations
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.releases.reports import Reports
from mlflow_backend.releases.status import RollbackContext
from mlflow_backend.releases.stores import DUMPS, FileStore, lock_held
from mlflow_backend.schema_tables import schema_table
from mlflow_backend.server import Doors, doors
from mlflow_backend.server.environment import PREFIX_VARIABLE
from mlflow_backend.verification import execution
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mlflow_backend.contract import WaitOutcome
    from mlflow_backend.releases.records import Dump
    from mlflow_backend.schema import Heads
    from mlflow_backend.verify.report import Report

TARGET = "local"
_CHUNK = 1 << 20
_STOP_WAIT_S = 30.0
_POLL_S = 0.1


class LocalReleases:
    """The releases of one local stack (see MigrationTarget and RollbackTarget)."""

    def __init__(self, state: StateDir) -> None:
        """Name the stack's folder; nothing is read yet."""
        self.state = state
        self.store = FileStore(state.backend_store)
        self.reports = Reports(self.store)
        self.ledger = Ledger(self.store, by=f"{getpass.getuser()}@{socket.gethostname()}")
        self.migration = Journal(self.store, "migration")
        self.rollback = rollback_journal(state)

    # The schema and its dumps.

    def heads(self) -> Heads | None:
        """Return the schema heads by one query."""
        return schema.heads(self.state)

    def tool(self, version: str) -> DatabaseTool:
        """Return the database tool in a version's environment."""
        return TemplatedTool(one_shot.ToolRunner(self.state, version), self.state, version)

    def dump(self, version: str) -> Dump:
        """Dump the databases into the stack's own folder."""
        one_shot.end_leftovers(self.state)
        with one_shot.serving_dumps(self.state) as (address, reach):
            return DatabaseTool(one_shot.ToolRunner(self.state, version, store=reach)).dump(address)

    def restore(self, dump: Dump, version: str) -> None:
        """Put a dump in the databases' place."""
        one_shot.end_leftovers(self.state)
        with one_shot.serving_dumps(self.state) as (_, reach), schema.allowed_to_create(self.state):
            DatabaseTool(one_shot.ToolRunner(self.state, version, store=reach)).restore(dump.address)

    def undo_restore(self) -> None:
        """Put back the databases that the last restore replaced. Raises PlatformFailed."""
        with schema.allowed_to_create(self.state):
            DatabaseTool(one_shot.ToolRunner(self.state, self._any_version())).undo()

    def drop_kept(self) -> tuple[str, ...]:
        """Drop the databases that restores replaced and kept; return their names. Raises PlatformFailed."""
        return DatabaseTool(one_shot.ToolRunner(self.state, self._any_version())).drop_kept()

    def is_restorable(self, dump: Dump, *, verify_checksums: bool = True) -> bool:
        """Tell whether each object of a dump is what was written: its size first, then its checksum."""
        for database in dump.databases.values():
            path = self._object(dump, database.object)
            if not path.exists() or path.stat().st_size != database.size_bytes:
                return False
            if verify_checksums and _sha256(path) != database.sha256:
                return False
        return (self.store.path(f"{DUMPS}/{dump.id}/manifest.json")).exists()

    def losses(self, dump: Dump) -> dict[str, int]:
        """Count what restoring the dump would lose, against the live database. Raises PlatformFailed."""
        with one_shot.serving_dumps(self.state) as (_, reach):
            return DatabaseTool(one_shot.ToolRunner(self.state, self._any_version(), store=reach)).losses(dump.address)

    def row_counts(self, tables: Sequence[str]) -> dict[str, int]:
        """Return the number of rows of those of the tables that exist."""
        return schema.row_counts(self.state, tables)

    def mark_store(self, content: bytes) -> None:
        """Write the artifact store's identity with the operator's key. Raises PlatformFailed."""
        Store(self.state, ports.known(self.state)["store"]).put(OBJECT, content)

    def migration_lock(self) -> AbstractContextManager[None]:
        """Hold the lock of migrations: one update of this machine at a time."""
        return self.state.locked("migration")

    # The servers.

    def serving(self) -> str | None:
        """Return the revision whose server runs and gets the traffic."""
        return running_revision(self.state.path) or None

    def stop_server(self) -> None:
        """End every server, with its grace period, and what an interrupted update or rollback still does."""
        one_shot.end_leftovers(self.state)
        switch.retire_others(self.state, None)

    def start_server(self, revision: str) -> None:
        """Switch to a revision and wait until it serves; where it does already, end what a killed switch left.

        Raises PlatformFailed, Refused where there is none.
        """
        with self.state.locked("switch"):
            if self.serving() == revision:
                switch.retire_others(self.state, int(revision))
            else:
                LocalHistory(self.state).activate(revision)
        record = revisions.load(self.state, int(revision))
        known = Subject.load(self.state.subject)
        subject = replace(
            known,
            # It may be called below another path than the revision before.
            url=tracking_url(ports.known(self.state)["front"], record.program.environment.get(PREFIX_VARIABLE, "")),
            expected_version=record.mlflow_version,
            expected_revision=revision,
            credentials=credentials.references(self.state, record.access),
            access=record.access != "none",
        )
        write(self.state.subject, json.dumps(subject.to_document(), indent=2))

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until the revision serves; the reasons are its last log lines."""
        return LocalHistory(self.state).wait(revision, deadline_s=deadline_s)

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Verify that this revision serves, through the public URL, and keep the report."""
        subject = replace(Subject.load(self.state.subject), expected_revision=revision)
        report = execution.run(subject, profile=profile, deadline_s=deadline_s)
        return self.reports.save(report, copy=self.state.report)

    def subject(self) -> Subject:
        """Return what a verification of the serving revision is told. Raises UsageError where none was deployed."""
        return Subject.load(self.state.subject)

    # What a rollback is planned from.

    def rollback_context(self, *, verify_checksums: bool = True) -> RollbackContext:
        """Read everything that a plan needs, and write nothing.

        Without `verify_checksums` a dump counts as restorable if its objects have their sizes: a list reads no dump.
        """
        contents, live = self.ledger.read(), self.heads()
        current = revisions.active(self.state)
        return RollbackContext(
            target=TARGET,
            current=None if current is None else str(current.number),
            revisions=LocalHistory(self.state).revisions(),
            live=live,
            contents=contents,
            table=schema_table(),
            restorable=self._restorable(contents.dumps, live if verify_checksums else None),
            busy=self.busy(),
        )

    def busy(self) -> str | None:
        """Say what is being deployed right now; None where nothing is."""
        for name, what in (
            ("migration", "an update migrates the database"),
            ("switch", "an update switches revisions"),
        ):
            if lock_held(self.state.path / f"{name}.lock"):
                return what
        return None

    def stop_deployment(self) -> None:
        """End what an update is doing, and wait until it has let go. Raises PlatformFailed where it does not."""
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

    @contextlib.contextmanager
    def rollback_lock(self) -> Iterator[None]:
        """Hold the lock of rollbacks. Raises Refused where another rollback holds it."""
        self.state.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with opened_lock(self.state.path / "rollback.lock") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Refused(
                    "Another rollback of this stack is running.",
                    code="local-rollback-running",
                    fix="Let it end, and repeat.",
                ) from None
            yield

    def release(self, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        """Return what the ledger records of a revision that was verified."""
        record = revisions.load(self.state, int(revision))
        heads = self.heads()
        if heads is None:
            raise PlatformFailed(
                "it does not answer, so its schema is not known",
                code="local-schema-not-known",
                fix="Repeat the update",
                part="database",
            )
        return VerifiedRelease(
            target=TARGET,
            revision=revision,
            mlflow_version=record.mlflow_version,
            environment_lock=record.environment_lock,
            heads=heads,
            settings_hash=record.identity,
            verification_id=verification_id,
            verdict=verdict,
            **asdict(durations.kept(self.store, revision)),
        )

    def doors(self, revision: str | None) -> Doors:
        """Return whom a revision's server lets in; nobody's names where the revision is not there."""
        known = {str(record.number): record for record in revisions.each(self.state)}
        return doors(known[revision].program.argv) if revision in known else Doors()

    def retire(self) -> Sequence[str]:
        """Drop nothing: a local revision is a small file, and its environment is shared."""
        return ()

    def _any_version(self) -> str:
        """Return an MLflow version whose environment is installed: what is asked concerns no version's own schema."""
        known = (record.mlflow_version for record in revisions.each(self.state))
        version = next((each for each in known if environment.exists(environment.locate(each))), None)
        if version is None:
            raise PlatformFailed(
                "no revision's environment is installed",
                code="no-environment-installed",
                fix="Run `make up`",
                part="database tool",
            )
        return version

    def _restorable(self, dumps: Sequence[Dump], live: Heads | None) -> frozenset[str]:
        """Return the ids of the dumps that can be restored.

        Checksums are computed of those that a rollback from the `live` schema could take only: the newest whole one of
        each other schema. A rollback within the schema must not read gigabytes first.
        """
        found, read = set(), {live}
        for dump in reversed(dumps):
            verify_checksums = live is not None and dump.heads not in read
            if self.is_restorable(dump, verify_checksums=verify_checksums):
                found.add(dump.id)
                read.add(dump.heads)
        return frozenset(found)

    def _object(self, dump: Dump, name: str) -> Path:
        return self.store.path(f"{DUMPS}/{dump.id}/{name}")


def open_releases(locator: Mapping[str, str]) -> LocalReleases:
    """Return the releases of the stack whose folder the locator names."""
    return LocalReleases(StateDir(Path(locator["state"])))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()
