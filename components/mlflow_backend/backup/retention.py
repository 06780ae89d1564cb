"""The backups and contents that pruning deletes, and the reason why each other one is kept. Pure.

Whoever prunes holds the lock that a backup in progress holds: a backup takes over contents that are there, and they
must not be deleted between its look and its manifest.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from mlflow_backend.backup.artifacts import Artifact

# No backup runs as long: its dump ends within hours (migrate/tool.DUMP_DEADLINE_S), its copy is done again from there.
ABANDONED_AFTER = timedelta(days=2)


class BackupState(StrEnum):
    """What is known of a backup: a drill restored it; nobody tried; a look or a drill found it damaged."""

    PROVED = "proved"
    UNPROVED = "unproved"
    DAMAGED = "damaged"


@dataclass(frozen=True, kw_only=True)
class ListedBackup:
    """A backup with its manifest, as far as retention asks; `taken_at` is the moment of its snapshot."""

    id: str
    taken_at: datetime
    state: BackupState


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A backup without manifest, and when an object of it was written last."""

    id: str
    written_at: datetime


@dataclass(frozen=True, kw_only=True)
class PrunePlan:
    """What pruning does: why, by the id of each backup, in order of time."""

    deleted: Mapping[str, str]
    kept: Mapping[str, str]


def plan_prune(
    backups: Sequence[ListedBackup],
    unfinished: Sequence[Unfinished] = (),
    *,
    now: datetime,
    retention_days: int,
    in_use: Collection[str] = (),
) -> PrunePlan:
    """Return which backups to delete.

    Whatever their age, the newest proved backup and the newest that is not known to be damaged are kept, and those
    that a restore or a drill reads now (`in_use`). A damaged one is kept for its time too: its dump may be whole.
    """
    ordered = sorted(backups, key=lambda backup: (backup.taken_at, backup.id))
    proved = [backup.id for backup in ordered if backup.state is BackupState.PROVED]
    usable = [backup.id for backup in ordered if backup.state is not BackupState.DAMAGED]
    deleted: dict[str, str] = {}
    kept: dict[str, str] = {}
    for backup in ordered:
        if backup.id in in_use:
            kept[backup.id] = "a restore or a drill reads it"
        elif backup.id in proved[-1:]:
            kept[backup.id] = "the newest that a drill proved"
        elif backup.id in usable[-1:]:
            kept[backup.id] = "the newest"
        elif now - backup.taken_at <= timedelta(days=retention_days):
            kept[backup.id] = f"taken within {retention_days} days"
        else:
            deleted[backup.id] = f"older than {retention_days} days"
    for remains in sorted(unfinished, key=lambda each: (each.written_at, each.id)):
        if remains.id in in_use or now - remains.written_at <= ABANDONED_AFTER:
            kept[remains.id] = "without manifest: it may be in progress"
        else:
            deleted[remains.id] = f"without manifest since {remains.written_at:%Y-%m-%d}: it was interrupted"
    return PrunePlan(deleted=deleted, kept=kept)


def unreferenced(
    contents: Mapping[str, datetime], indexes: Iterable[Mapping[str, Artifact]], *, now: datetime
) -> tuple[str, ...]:
    """Return the keys of contents that no kept backup names, in order.

    `contents` gives the time at which each was written; `indexes` are those of all backups that are kept. A young one
    stays, because it may be of a backup whose manifest is still to come.
    """
    named = {artifact.content for index in indexes for artifact in index.values()}
    return tuple(
        sorted(key for key, written in contents.items() if key not in named and now - written > ABANDONED_AFTER)
    )
