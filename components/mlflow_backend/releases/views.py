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
"""Tracking head -> the intact dumps at it, newest first."""


@dataclass(frozen=True, kw_only=True)
class Situation:
    """All that is read before a rollback is planned.

    `revisions` are the platform's, newest first. `live` is None where the schema could not be read. `intact` holds
    the ids of the dumps whose objects were found whole. `busy` says, as a clause, what is being deployed right now.
    """

    target: str
    current: str | None
    revisions: Sequence[Revision]
    live: Heads | None
    contents: Contents = field(default_factory=Contents)
    table: SchemaTable = field(default_factory=SchemaTable)
    intact: frozenset[str] = frozenset()
    busy: str | None = None


@dataclass(frozen=True, kw_only=True)
class View:
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
    left: bool = False
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


def survey(situation: Situation) -> tuple[View, ...]:
    """Return every revision that the platform or the ledger knows, newest first."""
    verified = {r.release.revision: (r.release, r.at) for r in situation.contents.records if r.release is not None}
    dumps = intact_dumps(situation)
    present = {revision.id for revision in situation.revisions}
    views = [_view(situation, revision, verified.get(revision.id), dumps) for revision in situation.revisions]
    gone = [_gone(situation, *found, dumps) for name, found in verified.items() if name not in present]
    return (*_held_to_keys(views), *reversed(gone))


def _held_to_keys(views: Sequence[View]) -> list[View]:
    """Block each revision without the stack's encryption keys once one with them was verified, or serves.

    Its verification came after everything was re-encrypted: a server without them reads no gateway secret, and fails
    each listing of webhooks.
    """
    if not any(view.keyed and (view.verified or view.current) for view in views):
        return list(views)
    blocked = Decision(
        verdict=Verdict.BLOCKED,
        reason="It was made before the stack had encryption keys of its own, and webhooks and gateway secrets are "
        "encrypted with these by now.",
        fix="Set server.image and server.mlflowVersion to what it runs, and update: the new revision gets the keys.",
    )
    return [replace(view, decision=blocked) if view.keyed is False and not view.current else view for view in views]


def intact_dumps(situation: Situation) -> Dumps:
    """Return the dumps that can be restored, by the tracking head that they hold."""
    found: Dumps = {}
    for dump in reversed(situation.contents.dumps):
        if dump.id in situation.intact:
            found.setdefault(dump.heads.tracking, []).append(dump)
    return found


def dump_with(heads: Heads | None, dumps: Dumps) -> Dump | None:
    """Return the newest intact dump with these heads; an auth head counts only where both have one."""
    if heads is None:
        return None
    for dump in dumps.get(heads.tracking, []):
        if heads.auth is None or dump.heads.auth is None or heads.auth == dump.heads.auth:
            return dump
    return None


def _view(
    situation: Situation, revision: Revision, verified: tuple[VerifiedRelease, datetime] | None, dumps: Dumps
) -> View:
    release, at = verified or (None, None)
    heads = release.heads if release else situation.table.required(revision.release.mlflow_version)
    view = _judged(situation, revision.id, revision.release.mlflow_version, heads, dumps)
    return replace(
        view,
        state=revision.state,
        created_at=revision.created_at,
        verified_at=at,
        current=revision.id == situation.current,
        dump=release.dump if release else None,
        start_s=release.start_s if release else None,
        access=revision.release.access,
        keyed=revision.release.keyed,
    )


def _gone(situation: Situation, release: VerifiedRelease, at: datetime, dumps: Dumps) -> View:
    view = _judged(situation, release.revision, release.mlflow_version, release.heads, dumps)
    return replace(view, verified_at=at, dump=release.dump, start_s=release.start_s)


def _judged(situation: Situation, revision: str, version: str, heads: Heads | None, dumps: Dumps) -> View:
    """Return a revision that is gone, with what the schema and the standing say of it."""
    dump = dump_with(heads, dumps)
    standing = situation.contents.standing
    decision = decide(
        version=version,
        wanted=heads,
        live=situation.live,
        table=situation.table,
        dump=dump.id if dump else None,
        pinned=standing.pin is not None,
    )
    return View(
        revision=revision,
        mlflow_version=version,
        state="gone",
        created_at=None,
        verified_at=None,
        decision=decision,
        heads=heads,
        pinned=standing.pin is not None and standing.pin.revision == revision,
        blocked=any(block.revision == revision for block in standing.blocks),
        left=revision in standing.left,
    )
