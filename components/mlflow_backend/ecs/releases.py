"""What the ecs target gives to migrations and rollbacks: its ledger, its schema, its dumps, and its servers.

The rules are in mlflow_backend/migrate and mlflow_backend/releases; here stands only how each thing is done on AWS. The
database is private, so every question to it is a one-shot task of half a minute: it is asked while something is
migrated or rolled back, and in a preview the ledger's last word stands for it.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import socket
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

from mlflow_backend.aws import clients as aws
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render.balancer import LONGEST_DEREGISTRATION_S, rollout_deadline
from mlflow_backend.aws.render.policies import ARTIFACTS
from mlflow_backend.aws.store import S3Store
from mlflow_backend.contract import PlatformFailed, Refused, Release
from mlflow_backend.ecs import deployments
from mlflow_backend.ecs.database_task import database_task
from mlflow_backend.ecs.history import EcsHistory, release_of
from mlflow_backend.ecs.locator import KIND, credentials, located, report_path
from mlflow_backend.ecs.render.containers import SETTINGS_LABEL
from mlflow_backend.ecs.scale import Scale
from mlflow_backend.identity import OBJECT
from mlflow_backend.migrate.tool import Code, DatabaseTool
from mlflow_backend.releases import durations
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.releases.reports import Reports
from mlflow_backend.releases.status import RollbackContext
from mlflow_backend.releases.stores import DUMPS
from mlflow_backend.releases.targets import LIVE
from mlflow_backend.schema_tables import required_heads, schema_table
from mlflow_backend.server import Doors, doors
from mlflow_backend.server.environment import PREFIX_VARIABLE
from mlflow_backend.verification import execution
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow_backend.contract import WaitOutcome
    from mlflow_backend.releases.records import Dump
    from mlflow_backend.schema import Heads
    from mlflow_backend.verify.report import Report

# Of any release: which `server.requestTimeout` the one to go back to has is known to its own task definition only. A
# start that fails is told by ECS long before.
_START_DEADLINE_S: Final = float(rollout_deadline(LONGEST_DEREGISTRATION_S))
# Of revisions, and of verified ones among those that are older: they cost nothing but the time to list them.
_RETAINED: Final = 100


class EcsReleases:
    """The releases of one backend on ECS (see migrate.step.MigrationTarget)."""

    def __init__(self, found: Mapping[str, str], connections: aws.Connections) -> None:
        """Take the backend's locator; nothing is read yet."""
        place = located(found)
        self._locator, self._place, self._connections = found, place, connections
        self.report = report_path(place.stack)
        self._by = f"{getpass.getuser()}@{socket.gethostname()}"
        self._live = LIVE in os.environ
        self.store = S3Store(connections.store, bucket=place.store.bucket, root=place.store.root)
        self.reports = Reports(self.store)
        self.ledger = Ledger(self.store, by=self._by)
        self.migration = Journal(self.store, "migration")
        self.rollback = Journal(self.store, "rollback", running=partial(self.store.is_locked, "rollback"))
        self.scale = Scale(
            clients=connections.clients,
            scaling=connections.scaling,
            name=place.service,
            journal=Journal(self.store, "scale"),
        )

    # The schema and its dumps.

    def heads(self) -> Heads | None:
        """Return the schema heads, asked by a one-shot task; None where the database is away.

        None too in a preview that was not asked to be live (`scripts/preview.py --live`).
        """
        if not self._live:
            return None
        try:
            return self._any_tool().status().heads
        except PlatformFailed as failure:
            if failure.code == Code.UNREACHABLE.error:
                return None
            raise

    def tool(self, version: str) -> DatabaseTool:
        """Return the database tool in a version's image."""
        return DatabaseTool(database_task(self._connections.clients, self._place, version))

    def dump(self, version: str) -> Dump:
        """Dump the databases into the backend's own prefix of its bucket."""
        root = f"{self._place.store.root}/" if self._place.store.root else ""
        return self.tool(version).dump(f"s3://{self._place.store.bucket}/{root}{DUMPS}")

    def restore(self, dump: Dump, version: str) -> None:
        """Put a dump in the databases' place."""
        self.tool(version).restore(dump.address)

    def undo_restore(self) -> None:
        """Put back the databases that the last restore replaced. Raises PlatformFailed."""
        self._any_tool().undo()

    def drop_kept(self) -> tuple[str, ...]:
        """Drop the databases that restores replaced and kept; return their names. Raises PlatformFailed."""
        return self._any_tool().drop_kept()

    def losses(self, dump: Dump) -> dict[str, int]:
        """Count what restoring the dump would lose, against the live database. Raises PlatformFailed."""
        return self._any_tool().losses(dump.address)

    def row_counts(self, tables: Sequence[str]) -> dict[str, int]:
        """Return nothing: in a preview, where rows are shown, the database is not asked."""
        del tables
        return {}

    def is_restorable(self, dump: Dump, *, verify_checksums: bool = True) -> bool:
        """Tell whether each object of a dump is what was written: its size first, then its checksum."""
        for database in dump.databases.values():
            key = f"{DUMPS}/{dump.id}/{database.object}"
            if self.store.size(key) != database.size_bytes:
                return False
            if verify_checksums and _sha256(self.store.chunks(key)) != database.sha256:
                return False
        return True

    @contextlib.contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Hold the lock of migrations, whoever deploys from wherever. Raises Refused where another one holds it."""
        with self.store.locked("migration", by=self._by), self._asking():
            yield

    def mark_store(self, content: bytes) -> None:
        """Write the artifact store's identity, which the server's own role may only read."""
        self.store.replace(f"{ARTIFACTS}/{OBJECT}", content)

    # The servers.

    def serving(self) -> str | None:
        """Return the revision that answers users; None where there is no service yet."""
        service = self.scale.service()
        serving = None if service is None else deployments.serving(service)
        return None if serving is None else str(serving.number)

    def stop_server(self) -> None:
        """End every server, with its grace period; autoscaling starts none."""
        self.scale.down()

    def start_server(self, revision: str) -> None:
        """Serve a revision with as many tasks as before, and wait until it does. Raises Refused where there is none."""
        history = self.history()
        history.activate(revision, force=True)
        self.scale.up()
        outcome = history.wait(revision, deadline_s=_START_DEADLINE_S)
        if not outcome.serving:
            raise Refused(
                f"Revision {revision} does not serve: {'; '.join(outcome.reasons)}.",
                code="revision-not-serving",
                fix="Mend that, and repeat.",
            )

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until the revision serves, with ECS's own reasons where it does not."""
        return self.history().wait(revision, deadline_s=deadline_s)

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Verify that this revision serves, through the URL that users call, and keep the report."""
        report = execution.run(self.subject(revision), profile=profile, deadline_s=deadline_s)
        return self.reports.save(report, copy=self.report)

    def subject(self, revision: str | None = None) -> Subject:
        """Return what a verification of a revision is told, of the serving one where none is named.

        Raises Refused where none serves.
        """
        wanted = revision or self.serving()
        if wanted is None:
            raise Refused("No revision serves.", code="no-revision-serves", fix="Deploy the stack with `pulumi up`.")
        definition = self._definition(wanted)
        return Subject(
            url=_url(self._place.reach.url, definition),
            expected_version=release_of(int(wanted), definition).mlflow_version,
            expected_revision=wanted,
            locator=dict(self._locator),
            stack=self._place.stack,
            credentials=credentials(self._place.reach),
            access=bool(self._place.reach.secret),
            report_path=str(self.report),
        )

    def busy(self) -> str | None:
        """Say what is being deployed right now; None where nothing is."""
        return self.history().busy()

    def stop_deployment(self) -> None:
        """End what is being deployed."""
        self.history().stop_deployment()

    # What a rollback is planned from.

    @contextlib.contextmanager
    def rollback_lock(self) -> Iterator[None]:
        """Hold the lock of rollbacks. Raises Refused where another rollback holds it."""
        with self.store.locked("rollback", by=self._by), self._asking():
            yield

    def rollback_context(self, *, verify_checksums: bool = True) -> RollbackContext:
        """Read everything that a plan needs, and write nothing; the database is asked by a one-shot task.

        Without `verify_checksums` a dump counts as restorable if its objects have their sizes, and no task starts: a
        list must not take half a minute. The schema is then that of the newest verified release.
        """
        contents = self.ledger.read()
        history = self.history()
        current = history.current()
        if verify_checksums:
            with self._asking():
                live = self.heads()
        else:
            verified = [record.release for record in contents.releases if record.release]
            live = verified[-1].heads if verified else None
        return RollbackContext(
            target=KIND,
            current=None if current is None else current.id,
            revisions=history.revisions(),
            live=live,
            contents=contents,
            table=schema_table(),
            restorable=frozenset(
                dump.id for dump in contents.dumps if self.is_restorable(dump, verify_checksums=verify_checksums)
            ),
            busy=history.busy(),
        )

    def release(self, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        """Return what the ledger records of a revision that was verified.

        A server that serves is at the head of its version, for MLflow starts on no other: the database is asked only
        about a version that the table does not have.
        """
        definition = self._definition(revision)
        known = release_of(int(revision), definition)
        labels = definition["containerDefinitions"][0].get("dockerLabels", {})
        with self._asking():
            auth = self._place.reach.access == "basic"
            heads = required_heads(known.mlflow_version, auth=auth) or self.heads()
        if heads is None:
            raise Refused(
                "The schema is not known: the database does not answer.",
                code="schema-not-known",
                fix="Repeat the update.",
            )
        return VerifiedRelease(
            target=KIND,
            revision=revision,
            mlflow_version=known.mlflow_version,
            image_digest=known.image_digest,
            heads=heads,
            settings_hash=labels.get(SETTINGS_LABEL, ""),
            verification_id=verification_id,
            verdict=verdict,
            **asdict(durations.kept(self.store, revision)),
        )

    def doors(self, revision: str | None) -> Doors:
        """Return whom a revision's server lets in."""
        if revision is None:
            return Doors()
        # A service that others deploy may leave the command to its image.
        return doors(self._definition(revision)["containerDefinitions"][0].get("command", []))

    def retire(self) -> Sequence[str]:
        """Drop revisions beyond a retention that spares every one that a rollback could want; return them."""
        contents = self.ledger.read()
        verified = [record.release.revision for record in contents.releases if record.release]
        state = contents.state
        held = [state.pin.revision] if state.pin else []
        held += [block.instead for block in state.blocks]
        return self.history().prune(retain=_RETAINED, spared=frozenset([*verified[-_RETAINED:], *held]))

    def history(self) -> EcsHistory:
        """Return the service's history, with what the ledger knows of its revisions."""
        known = {record.release.revision: record.release for record in self.ledger.read().releases if record.release}
        return EcsHistory(
            clients=self._connections.clients,
            name=self._place.service,
            known={name: _release(found) for name, found in known.items()},
        )

    def _definition(self, revision: str) -> Mapping[str, Any]:
        wanted = f"{self._place.server_family}:{revision}"
        answer = self._connections.clients.ecs.describe_task_definition(taskDefinition=wanted)
        return dict(answer["taskDefinition"])

    def _any_tool(self) -> DatabaseTool:
        return DatabaseTool(database_task(self._connections.clients, self._place, None))

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        before, self._live = self._live, True
        try:
            yield
        finally:
            self._live = before


def _url(known: str, definition: Mapping[str, Any]) -> str:
    """Return the URL of a revision, which may be called below another path than the newest one."""
    variables = {each["name"]: each["value"] for each in definition["containerDefinitions"][0].get("environment", [])}
    return str(urlunsplit((*urlsplit(known)[:2], variables.get(PREFIX_VARIABLE, ""), "", "")))


def open_releases(locator: Mapping[str, str]) -> EcsReleases:
    """Return the releases of the backend that a locator names."""
    return EcsReleases(locator, aws.connections(Connection.at(locator)))


def _release(found: VerifiedRelease) -> Release:
    return Release(
        revision=found.revision,
        mlflow_version=found.mlflow_version,
        image_digest=found.image_digest,
        schema_head=found.heads.tracking,
    )


def _sha256(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in chunks:
        digest.update(piece)
    return digest.hexdigest()
