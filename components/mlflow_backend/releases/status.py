"""Pure: every revision as the ledger, the platform and the live schema together show it."""

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

Dumps = dict[str | None, list["Dump"]]
"""Tracking head -> the restorable dumps at it, newest first."""


@dataclass(frozen=True, kw_only=True)
class RollbackContext:
    """All that is read before a rollback is planned.

    `revisions` are the platform's, newest first. `live` is None where the schema could not be read. `restorable` holds
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

    `current` is the one that the platform is told to serve. `start_s` is how many seconds it took from its start until
    it was healthy, None where the ledger does not know. `keyed` is whether it is given the stack's encryption keys,
    None where that cannot be told.
    """

    revision: str
    mlflow_version: str
    state: RevisionState
    created_at: datetime | None
    verified_at: datetime | None
    decision: Decision
    heads: Heads | None
    current: bool = False
    pinned: bool = False
    blocked: bool = False
    rolled_back_from: bool = False
    dump: str | None = None
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
    dumps = restorable_dumps(context)
    present = {revision.id for revision in context.revisions}
    statuses = [_present(context, revision, verified.get(revision.id), dumps) for revision in context.revisions]
    gone = [_gone(context, *found, dumps) for name, found in verified.items() if name not in present]
    return (*_held_to_keys(statuses), *reversed(gone))


def _held_to_keys(statuses: Sequence[ReleaseStatus]) -> list[ReleaseStatus]:
    """Block each revision without the stack's encryption keys once one with them was verified, or serves.

    Its verification came after everything was re-encrypted: a server without them reads no gateway secret, and fails
    each listing of webhooks.
    """
    if not any(status.keyed and (status.verified or status.current) for status in statuses):
        return list(statuses)
    blocked = Decision(
        verdict=Verdict.BLOCKED,
        reason="It was made before the stack had encryption keys of its own, and webhooks and gateway secrets are "
        "encrypted with these by now.",
        fix="Set server.image and server.mlflowVersion to what it runs, and update: the new revision gets the keys.",
    )
    return [
        replace(status, decision=blocked) if status.keyed is False and not status.current else status
        for status in statuses
    ]


def restorable_dumps(context: RollbackContext) -> Dumps:
    """Return the dumps that can be restored, by the tracking head that they hold."""
    found: Dumps = {}
    for dump in reversed(context.contents.dumps):
        if dump.id in context.restorable:
            found.setdefault(dump.heads.tracking, []).append(dump)
    return found


def dump_with(heads: Heads | None, dumps: Dumps) -> Dump | None:
    """Return the newest restorable dump with these heads; an auth head counts only where both have one."""
    if heads is None:
        return None
    for dump in dumps.get(heads.tracking, []):
        if heads.auth is None or dump.heads.auth is None or heads.auth == dump.heads.auth:
            return dump
    return None


def _present(
    context: RollbackContext, revision: Revision, verified: tuple[VerifiedRelease, datetime] | None, dumps: Dumps
) -> ReleaseStatus:
    release, at = verified or (None, None)
    heads = release.heads if release else context.table.required(revision.release.mlflow_version)
    status = _evaluated(context, revision.id, revision.release.mlflow_version, heads, dumps)
    return replace(
        status,
        state=revision.state,
        created_at=revision.created_at,
        verified_at=at,
        current=revision.id == context.current,
        dump=release.dump if release else None,
        start_s=release.start_s if release else None,
        access=revision.release.access,
        keyed=revision.release.keyed,
    )


def _gone(context: RollbackContext, release: VerifiedRelease, at: datetime, dumps: Dumps) -> ReleaseStatus:
    status = _evaluated(context, release.revision, release.mlflow_version, release.heads, dumps)
    return replace(status, verified_at=at, dump=release.dump, start_s=release.start_s)


def _evaluated(
    context: RollbackContext, revision: str, version: str, heads: Heads | None, dumps: Dumps
) -> ReleaseStatus:
    """Return a revision that is gone, with what the schema and the state say of it."""
    dump = dump_with(heads, dumps)
    state = context.contents.state
    decision = decide(
        version=version,
        wanted=heads,
        live=context.live,
        table=context.table,
        dump=dump.id if dump else None,
        pinned=state.pin is not None,
    )
    return ReleaseStatus(
        revision=revision,
        mlflow_version=version,
        state="gone",
        created_at=None,
        verified_at=None,
        decision=decision,
        heads=heads,
        pinned=state.pin is not None and state.pin.revision == revision,
        blocked=any(block.revision == revision for block in state.blocks),
        rolled_back_from=revision in state.rolled_back_from,
    )
