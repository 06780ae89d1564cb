"""Situations for which a rollback is planned: revisions, ledgers and schema heads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mlflow_backend.contract import Release, Revision, RevisionState
from mlflow_backend.releases.ledger import Contents
from mlflow_backend.releases.records import (
    Dump,
    DumpedDatabase,
    Kind,
    LedgerState,
    Record,
    VerifiedRelease,
)
from mlflow_backend.releases.status import RollbackContext
from mlflow_backend.schema import Heads, SchemaTable

if TYPE_CHECKING:
    from collections.abc import Sequence


START = datetime(2026, 11, 1, tzinfo=UTC)

VERSIONS = ("2.9.2", "3.4.0", "3.17.2")

HEAD = dict(zip(VERSIONS, ("acf3f17fdcc7", "71994744cf8e", "dc11669786a5"), strict=True))

TABLE = SchemaTable(
    heads={version: Heads(tracking=head) for version, head in HEAD.items()},
    revisions={"tracking": tuple(HEAD.values()), "auth": ()},
)


def revision(number: int, version: str, state: RevisionState = "stopped") -> Revision:
    """Return a revision of the platform."""
    release = Release(revision=str(number), mlflow_version=version, environment_lock="abc")
    return Revision(id=str(number), release=release, state=state, created_at=START + timedelta(hours=number))


def verified(number: int, version: str) -> VerifiedRelease:
    """Return the ledger's record of a verified revision."""
    return VerifiedRelease(
        target="local",
        revision=str(number),
        mlflow_version=version,
        environment_lock="abc",
        heads=Heads(tracking=HEAD[version]),
        settings_hash=f"s{number}",
        verification_id=f"v{number}",
        verdict="pass",
    )


def dump(name: str, version: str) -> Dump:
    """Return a dump of a version's schema."""
    tracking = DumpedDatabase(object="tracking.dump", sha256="0" * 64, size_bytes=46_000, head=HEAD[version])
    return Dump(
        id=name,
        address=f"s3://_backend/dumps/{name}",
        mlflow_version=version,
        taken_at=START,
        databases={"tracking": tracking},
    )


def contents(*bodies: VerifiedRelease | Dump, state: LedgerState | None = None) -> Contents:
    """Return a ledger that holds these records, the last state at the end."""
    return Contents(
        records=tuple(
            Record(
                number=number,
                kind=Kind.DUMP if isinstance(body, Dump) else Kind.RELEASE,
                at=START + timedelta(hours=number),
                by="ada",
                body=body,
                state=state or LedgerState(),
            )
            for number, body in enumerate(bodies, start=1)
        )
    )


def context(
    revisions: Sequence[Revision], found: Contents, *, current: int | None, live: str = "3.4.0"
) -> RollbackContext:
    """Return a context whose database is at the head of version `live`."""
    return RollbackContext(
        target="local",
        current=None if current is None else str(current),
        revisions=tuple(sorted(revisions, key=lambda r: r.created_at, reverse=True)),
        live=Heads(tracking=HEAD[live]),
        contents=found,
        table=TABLE,
        restorable=frozenset(d.id for d in found.dumps),
    )


SAME_SCHEMA = context(
    [revision(n, "3.4.0", "serving" if n == 3 else "stopped") for n in (1, 2, 3)],
    contents(*(verified(n, "3.4.0") for n in (1, 2, 3))),
    current=3,
)

MIGRATED = context(
    [revision(1, "3.4.0"), revision(2, "3.17.2", "serving")],
    contents(verified(1, "3.4.0"), dump("d1", "3.4.0"), verified(2, "3.17.2")),
    current=2,
    live="3.17.2",
)
