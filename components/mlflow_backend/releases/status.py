"""The status of every revision, by the ledger, the platform and the live schema together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlflow_backend.releases.ledger import Contents
from mlflow_backend.schema import Decision, Heads, SchemaTable, Verdict, decide

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from mlflow_backend.contract import Revision, RevisionState
    from mlflow_backend.releases.records import Dump, VerifiedRelease


_Dumps = dict[str | None, list["Dump"]]
"""Tracking head -> the restorable dumps at it, newest first."""


@dataclass(frozen=True, kw_only=True)
class RollbackContext:
    """All that is read before a rollback is planned.

    `revisions` are the platform's, newest first. `live` is None if the schema could not be read. `restorable` holds
    the ids of the dumps whose objects were found whole. `busy` says, as a clause, what is being deployed right now.
    """

    target: str
    current: str | None
    revisions: Sequence[Revision]
    live: Heads | None
    contents: Contents = field(default_factory=Contents)
    table: SchemaTable = field(default_factory=SchemaTable)
    restorable: frozenset[str] = frozenset()
    busy: str | None = None


@dataclass(frozen=True, kw_only=True)
class ReleaseStatus:
    """One revision as the ledger, the platform and the schema together show it.

    `current` is the one that the platform is set to serve. `restore_from` is the newest restorable dump of its schema.
    `start_s` is how many seconds it took from its start until it was healthy, None if the ledger does not know.
    `keyed` is whether it is given the stack's encryption keys, None if that is not known.
    """

    revision: str
    mlflow_version: str
    decision: Decision
    heads: Heads | None
    state: RevisionState = "gone"
    created_at: datetime | None = None
    verified_at: datetime | None = None
    current: bool = False
    pinned: bool = False
    blocked: bool = False
    rolled_back_from: bool = False
    dump: str | None = None
    restore_from: Dump | None = None
    access: str | None = None
    start_s: float | None = None
    keyed: bool | None = None

    @property
    def serves(self) -> bool:
        """Whether users get their answers from it: the current one may have ended, or been stopped for a migration."""
        return self.current and self.state in {"serving", "starting"}

    @property
    def verified(self) -> bool:
        """Whether a verification of it ever passed."""
        return self.verified_at is not None

    def __str__(self) -> str:
        """Name it, as the first words of a sentence."""
        return f"Revision {self.revision} (MLflow {self.mlflow_version})"


def list_releases(context: RollbackContext) -> tuple[ReleaseStatus, ...]:
    """Return every revision that the platform or the ledger knows, newest first."""
    verified = {r.release.revision: (r.release, r.at) for r in context.contents.records if r.release is not None}
    dumps = _restorable(context)
    present = {revision.id for revision in context.revisions}
    statuses = [_present(context, revision, verified.get(revision.id), dumps) for revision in context.revisions]
    gone = [_verified(context, *found, dumps) for name, found in verified.items() if name not in present]
    return (*_block_without_keys(statuses), *reversed(gone))


def _block_without_keys(statuses: Sequence[ReleaseStatus]) -> list[ReleaseStatus]:
    """Block each revision without the stack's encryption keys once one with them was verified, or serves.

    Its verification came after everything was re-encrypted: a server without them reads no gateway secret, and fails
    each listing of webhooks.
    """
    if not any(status.keyed and (status.verified or status.current) for status in statuses):
        return list(statuses)
    blocked = Decision(
        verdict=Verdict.BLOCKED,
        code="release-without-keys",
        reason="It was made before the stack had encryption keys of its own, and webhooks and gateway secrets are "
        "encrypted with these by now.",
        fix="Set server.image and server.mlflowVersion to what it runs, and update: the new revision gets the keys.",
    )
    return [
        replace(status, decision=blocked) if status.keyed is False and not status.current else status
        for status in statuses
    ]


def _present(
    context: RollbackContext, revision: Revision, verified: tuple[VerifiedRelease, datetime] | None, dumps: _Dumps
) -> ReleaseStatus:
    version = revision.release.mlflow_version
    if verified is not None:
        known = _verified(context, *verified, dumps)
    else:
        known = _evaluated(context, revision.id, version, context.table.required(version), dumps)
    return replace(
        known,
        mlflow_version=version,
        state=revision.state,
        created_at=revision.created_at,
        current=revision.id == context.current,
        access=revision.release.access,
        keyed=revision.release.keyed,
    )


def _verified(context: RollbackContext, release: VerifiedRelease, at: datetime, dumps: _Dumps) -> ReleaseStatus:
    """Return a revision as the ledger recorded it."""
    known = _evaluated(context, release.revision, release.mlflow_version, release.heads, dumps)
    return replace(known, verified_at=at, dump=release.dump, start_s=release.start_s)


def _evaluated(
    context: RollbackContext, revision: str, version: str, heads: Heads | None, dumps: _Dumps
) -> ReleaseStatus:
    """Return what the live schema and the ledger's state mean for a revision."""
    dump = _dump_of(heads, dumps)
    state = context.contents.state
    decision = decide(
        version=version,
        required=heads,
        live=context.live,
        table=context.table,
        dump=dump.id if dump else None,
        pinned=state.pin is not None,
    )
    return ReleaseStatus(
        revision=revision,
        mlflow_version=version,
        decision=decision,
        heads=heads,
        restore_from=dump,
        pinned=state.pin is not None and state.pin.revision == revision,
        blocked=any(block.revision == revision for block in state.blocks),
        rolled_back_from=revision in state.rolled_back_from,
    )


def _restorable(context: RollbackContext) -> _Dumps:
    found: _Dumps = {}
    for dump in reversed(context.contents.dumps):
        if dump.id in context.restorable:
            found.setdefault(dump.heads.tracking, []).append(dump)
    return found


def _dump_of(heads: Heads | None, dumps: _Dumps) -> Dump | None:
    """Return the newest restorable dump of a schema; the auth head counts only if both have one."""
    if heads is None:
        return None
    fit = (d for d in dumps.get(heads.tracking, []) if heads.auth is None or d.heads.auth in {None, heads.auth})
    return next(fit, None)
