"""One deployed backend, as migrations, rollbacks, verifications and commands work on it: the rules over a `Platform`.

It has what `migrate.step.MigrationTarget` and `releases.steps.RollbackTarget` ask for, once for all targets. If each
question to the database is a one-shot task (`Platform.asks_at_once`), a preview does not ask it, and the ledger's last
word stands for the schema.
"""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import socket
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.releases import durations
from mlflow_backend.releases.journal import Journal, rollback_journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.releases.reports import Reports
from mlflow_backend.releases.status import RollbackContext
from mlflow_backend.releases.stores import DUMPS
from mlflow_backend.releases.targets import LIVE
from mlflow_backend.schema_tables import required_heads, schema_table
from mlflow_backend.verify.request import VerifyRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.contract import Revision, WaitOutcome
    from mlflow_backend.migrate.tool import DatabaseTool
    from mlflow_backend.releases.ledger import Contents
    from mlflow_backend.releases.records import Dump
    from mlflow_backend.schema import Heads
    from mlflow_backend.target import Candidate, Described, Platform
    from mlflow_backend.verify.report import Report
    from mlflow_backend.verify.subjects import Subject

RETAINED: Final = 100
"""How many revisions are kept, and of the older ones how many that were verified: each costs a moment to list."""
_MANIFEST: Final = "manifest.json"
# Nobody migrates for longer while another command waits for it.
_LOCK_WAIT_S: Final = 600.0


class NotServing(Refused):
    """A revision was started and does not serve."""


class DeployedBackend:
    """The releases of one backend, its schema and its servers."""

    def __init__(self, platform: Platform) -> None:
        """Take the backend's live side; nothing is asked yet."""
        self.platform, self.store = platform, platform.store
        self._by = f"{getpass.getuser()}@{socket.gethostname()}"
        self._asks = platform.asks_at_once or LIVE in os.environ
        self.reports = Reports(self.store)
        self.ledger = Ledger(self.store, by=self._by)
        self.migration = Journal(self.store, "migration")
        self.rollback = rollback_journal(self.store)

    # The schema and its dumps.

    def heads(self) -> Heads | None:
        """Return the live schema heads; None if the database does not answer, or is not asked in a preview."""
        return self.platform.heads() if self._asks else None

    def roots(self) -> dict[str, dict[str, int]]:
        """Return by table how many rows keep their artifacts at which root.

        Nothing if the database does not answer, is not asked in a preview, or has a tool that cannot count yet.
        """
        if not self._asks:
            return {}
        with contextlib.suppress(PlatformFailed, Refused):
            return self.platform.tool(None).roots()
        return {}

    def tool(self, version: str) -> DatabaseTool:
        """Return the database tool of an MLflow version. Raises Refused if it cannot be run any more."""
        return self.platform.tool(version)

    def dump(self, version: str) -> Dump:
        """Dump the databases into the backend's own store. Raises PlatformFailed."""
        return self.tool(version).dump(self.platform.dumps)

    def restore(self, dump: Dump, version: str) -> None:
        """Replace the databases by a dump. Raises PlatformFailed; they are then as they were."""
        self.tool(version).restore(self._address(dump))

    def undo_restore(self) -> None:
        """Put back the databases that the last restore replaced. Raises PlatformFailed."""
        self.platform.tool(None).undo()

    def drop_kept(self) -> tuple[str, ...]:
        """Drop the databases that restores replaced and kept; return their names. Raises PlatformFailed."""
        return self.platform.tool(None).drop_kept()

    def losses(self, dump: Dump) -> dict[str, int]:
        """Count what restoring a dump would lose, against the live database. Raises PlatformFailed."""
        return self.platform.tool(None).losses(self._address(dump))

    def _address(self, dump: Dump) -> str:
        """Return where a dump is now: the folder of a stack may have been moved since."""
        return f"{self.platform.dumps}/{dump.id}"

    def is_restorable(self, dump: Dump, *, verify_checksums: bool = True) -> bool:
        """Return whether each object of a dump is what was written: its size first, then its checksum."""
        for database in dump.databases.values():
            key = f"{DUMPS}/{dump.id}/{database.object}"
            if self.store.size(key) != database.size_bytes:
                return False
            if verify_checksums and _sha256(self.store.chunks(key)) != database.sha256:
                return False
        return self.store.size(f"{DUMPS}/{dump.id}/{_MANIFEST}") is not None

    @contextlib.contextmanager
    def migration_lock(self) -> Iterator[None]:
        """Hold the lock of migrations. Raises Refused while another command holds it."""
        with self.store.locked("migration", by=self._by, wait_s=_LOCK_WAIT_S), self._asking():
            yield

    # The servers.

    def wait(self, revision: str) -> WaitOutcome:
        """Wait until a revision serves or has failed, with the platform's own reasons."""
        return self.platform.wait(revision, deadline_s=self.platform.start_deadline_s)

    def serve(self, revision: str) -> None:
        """Start a revision and wait until it serves. Raises NotServing, and Refused if it is gone."""
        self.platform.start_servers(revision)
        outcome = self.wait(revision)
        if not outcome.serving:
            raise NotServing(
                f"Revision {revision} does not serve: {'; '.join(outcome.reasons)}.",
                code="revision-not-serving",
                fix="Mend that, and repeat.",
            )

    # Verification.

    def subject(self, revision: str | None = None) -> Subject:
        """Return the subject of a verification of a revision, of the active one if none is named.

        Raises Refused if none serves.
        """
        wanted = revision or self.platform.serving()
        if wanted is None:
            raise Refused("No revision serves.", code="no-revision-serves", fix="Deploy it: `make up`.")
        return self.platform.subject(wanted)

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Verify that this revision serves, through the URL that users call, and keep the report."""
        # Read after the switch of a rollback, not before: the checks take as long to import as everything else of it.
        from mlflow_backend.verification import execution  # noqa: PLC0415

        report = execution.run(self.subject(revision), VerifyRequest(profile=profile, deadline_s=deadline_s))
        return self.reports.save(report, copy=self.platform.report)

    def verify_apart(self, candidate: Candidate, *, profile: str, deadline_s: float) -> Report:
        """Verify a revision that was staged, at its own address. Its report is not kept: it is not what serves."""
        from mlflow_backend.verification import execution  # noqa: PLC0415 - as in `verify`

        return execution.run_apart(
            candidate.subject,
            extra={"profile": profile, "deadline": deadline_s, "extraChecks": ()},
            running=lambda: candidate.revision,
            within=self.platform.inside(),
        )

    # What a rollback is planned from, and what is recorded.

    @contextlib.contextmanager
    def rollback_lock(self) -> Iterator[None]:
        """Hold the lock of rollbacks. Raises Refused while another command holds it."""
        with self.store.locked("rollback", by=self._by), self._asking():
            yield

    def rollback_context(self, *, verify_checksums: bool = True) -> RollbackContext:
        """Read everything that a plan needs, and write nothing.

        Without `verify_checksums` a dump counts as restorable if its objects have their sizes, and no one-shot task is
        started: a list must not take half a minute. The schema is then that of the newest verified release.
        """
        contents = self.ledger.read()
        current = self.platform.current()
        with self._asking() if verify_checksums else contextlib.nullcontext():
            live = self._live_heads(current, contents) if self._asks else _last_heads(contents)
        return RollbackContext(
            target=self.platform.target,
            current=None if current is None else current.id,
            revisions=_recorded(self.platform.revisions(), contents),
            live=live,
            contents=contents,
            table=schema_table(),
            restorable=self._restorable(contents.dumps, live if verify_checksums else None),
            busy=self.platform.busy(),
        )

    def release(self, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        """Return what the ledger records of a revision that was verified."""
        found = self.platform.describe(revision)
        return VerifiedRelease(
            target=self.platform.target,
            revision=revision,
            mlflow_version=found.release.mlflow_version,
            image_digest=found.release.image_digest,
            environment_lock=found.release.environment_lock,
            heads=self._heads_of(found),
            settings_hash=found.identity,
            verification_id=verification_id,
            verdict=verdict,
            **asdict(durations.kept(self.store, revision)),
        )

    def retire(self) -> Sequence[str]:
        """Drop revisions beyond a retention that spares every one that a rollback could want; return them."""
        contents = self.ledger.read()
        verified = [record.release.revision for record in contents.releases if record.release]
        state = contents.state
        pinned = [state.pin.revision] if state.pin else []
        pinned += [block.instead for block in state.blocks]
        return self.platform.prune(retain=RETAINED, spared=frozenset([*verified[-RETAINED:], *pinned]))

    def _live_heads(self, current: Revision | None, contents: Contents) -> Heads | None:
        """Return the live schema heads: as the server that serves reads them at once, else by a one-shot task.

        A rollback need not wait then until a task is scheduled.
        """
        if current is not None and not self.platform.asks_at_once and self.platform.inside() is None:
            from mlflow_backend.verify import live_schema  # noqa: PLC0415 - as in `verify`

            recorded = contents.state.identity or {}
            served = live_schema.ask(self.platform.subject(current.id), self.platform.secrets(), recorded=recorded)
            if served is not None:
                return served
        return self.heads()

    def _heads_of(self, found: Described) -> Heads:
        """Return the schema that a serving revision has.

        A server that serves is at the head of its version, because MLflow starts on no other: a one-shot task is asked
        only about a version that the table does not have.
        """
        if not self.platform.asks_at_once:
            known = required_heads(found.release.mlflow_version, auth=found.release.access == "basic")
            if known is not None:
                return known
        with self._asking():
            heads = self.heads()
        if heads is None:
            raise Refused(
                "The schema is not known: the database does not answer.",
                code="schema-not-known",
                fix="Repeat the update.",
            )
        return heads

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

    @contextlib.contextmanager
    def _asking(self) -> Iterator[None]:
        """Ask the database itself, also if that takes a one-shot task."""
        before, self._asks = self._asks, True
        try:
            yield
        finally:
            self._asks = before


def _last_heads(contents: Contents) -> Heads | None:
    verified = [record.release for record in contents.releases if record.release]
    return verified[-1].heads if verified else None


def _recorded(revisions: Sequence[Revision], contents: Contents) -> tuple[Revision, ...]:
    """Return the platform's revisions; what an old one does not say about its release is from the ledger."""
    known = {record.release.revision: record.release for record in contents.releases if record.release}
    found = []
    for revision in revisions:
        release = known.get(revision.id)
        if release is not None:
            recorded = replace(
                revision.release,
                mlflow_version=release.mlflow_version,
                image_digest=release.image_digest,
                environment_lock=release.environment_lock,
                schema_head=release.heads.tracking,
            )
            found.append(replace(revision, release=recorded))
        else:
            found.append(revision)
    return tuple(found)


def _sha256(chunks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in chunks:
        digest.update(piece)
    return digest.hexdigest()
