"""The pruning of a destination: old backups, interrupted ones, and contents that no kept backup names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlflow_backend.backup import catalogue
from mlflow_backend.backup.retention import PrunePlan, plan_prune, unreferenced
from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from mlflow_backend.backup.destination import Destination


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What pruning deletes: whole backups by id, and contents by key with their bytes together."""

    plan: PrunePlan
    contents: tuple[str, ...]
    content_bytes: int


def planned(destination: Destination, *, keep_days: int) -> Pruning:
    """Return what would be deleted.

    Raises Refused if the index of a backup that is kept cannot be read: its contents would be deleted.
    """
    now, found = datetime.now(UTC), catalogue.read(destination)
    plan = plan_prune(found.listed, found.unfinished, now=now, retention_days=keep_days)
    indexes = []
    for backup in plan.kept:
        manifest = next((each.manifest for each in found.backups if each.id == backup), None)
        if manifest is not None:
            indexes.append(catalogue.index_of(destination, manifest))
        elif any(each.id == backup for each in found.backups):
            raise Refused(
                "Its manifest cannot be read, so that nobody knows which contents it names.",
                code="prune-manifest-unreadable",
                fix="Delete its folder if it is worth nothing, and repeat.",
                part=f"backup {backup}",
            )
    contents = catalogue.contents_of(destination)
    keys = unreferenced({key: each.written_at for key, each in contents.items()}, indexes, now=now)
    return Pruning(plan=plan, contents=keys, content_bytes=sum(contents[key].size_bytes for key in keys))


def prune(destination: Destination, pruning: Pruning) -> None:
    """Delete it: a backup's manifest first, so that a half-deleted one is no backup. The caller holds the lock."""
    for backup in pruning.plan.deleted:
        objects = [each.key for each in destination.listing(catalogue.folder(backup))]
        for key in sorted(objects, key=lambda each: not each.endswith("/manifest.json")):
            destination.delete(key)
    for key in pruning.contents:
        destination.delete(key)
