"""The contents of a destination: whole backups with what drills found, unfinished ones; a backup's index and damage."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.backup import drill, manifest
from mlflow_backend.backup.artifacts import CONTENTS, Artifact, decode_index
from mlflow_backend.backup.damage import Damage, Kind, damaged_contents, damaged_parts, different_totals
from mlflow_backend.backup.destination import inspect_objects
from mlflow_backend.backup.retention import BackupState, ListedBackup, Unfinished
from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlflow_backend.backup.destination import Destination, Listed
    from mlflow_backend.backup.drill import DrillResult
    from mlflow_backend.backup.manifest import Manifest

BACKUPS = "backups"


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup with its manifest, and the drills of it, oldest first. `damage` says why a manifest cannot be read."""

    id: str
    manifest: Manifest | None
    damage: str
    drills: tuple[DrillResult, ...]
    taken_at: datetime

    @property
    def listed(self) -> ListedBackup:
        """The backup as retention and selection see it."""
        found = drill.state_of(self.drills) if self.manifest else BackupState.DAMAGED
        return ListedBackup(id=self.id, taken_at=self.taken_at, state=found)


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """All that a destination holds, oldest first."""

    backups: tuple[Backup, ...]
    unfinished: tuple[Unfinished, ...]

    @property
    def listed(self) -> tuple[ListedBackup, ...]:
        """The backups as retention and selection see them."""
        return tuple(backup.listed for backup in self.backups)

    def get(self, backup: str) -> Backup:
        """Return the backup with that id."""
        return next(each for each in self.backups if each.id == backup)

    @property
    def newest(self) -> Manifest | None:
        """The manifest of the newest backup that is not known to be damaged."""
        usable = (each.manifest for each in reversed(self.backups) if each.listed.state is not BackupState.DAMAGED)
        return next(usable, None)


def folder(backup: str) -> str:
    """Return the key below which a backup's objects are."""
    return f"{BACKUPS}/{backup}"


def read(destination: Destination) -> Catalogue:
    """Return what the destination holds. Raises PlatformFailed if it cannot be listed or read."""
    objects: dict[str, list[Listed]] = {}
    for each in destination.listing(BACKUPS):
        objects.setdefault(each.key.split("/")[1], []).append(each)
    backups, unfinished = [], []
    for backup, found in objects.items():
        names = {each.key.rsplit("/", 1)[1]: each for each in found}
        if manifest.MANIFEST not in names:
            unfinished.append(Unfinished(id=backup, written_at=max(each.written_at for each in found)))
            continue
        backups.append(_backup(destination, backup, names))
    return Catalogue(
        backups=tuple(sorted(backups, key=lambda each: (each.taken_at, each.id))), unfinished=tuple(unfinished)
    )


def index_of(destination: Destination, found: Manifest) -> dict[str, Artifact]:
    """Return a backup's artifacts by path. Raises PlatformFailed if the index is not what the manifest names.

    An index that is gone must not be taken for one without artifacts: pruning would delete what it named.
    """
    part = found.artifacts.index
    key = f"{folder(found.id)}/{part.object}"
    content = destination.read([key]).get(key)
    if content is None or hashlib.sha256(content).hexdigest() != part.sha256:
        raise PlatformFailed(
            "it is missing" if content is None else "it was changed: its checksum differs",
            code="backup-index-damaged",
            fix="Restore another backup; delete the folder of this one before pruning",
            part=f"artifacts of {found.id}",
        )
    return decode_index(content, backup=found.id)


def damages(destination: Destination, found: Manifest, *, read_all: bool) -> tuple[Damage, ...]:
    """Return what is wrong with a backup: by sizes from a listing, or by the checksums of all that it names."""
    base = folder(found.id)
    parts = inspect_objects(destination, (f"{base}/{part.object}" for part in found.parts), read=read_all)
    wrong = damaged_parts(found, {key.removeprefix(f"{base}/"): each for key, each in parts.items()})
    if any(damage.object == found.artifacts.index.object for damage in wrong):
        return wrong
    try:
        index = index_of(destination, found)
    except PlatformFailed as failure:
        return (*wrong, Damage(object=found.artifacts.index.object, kind=Kind.CHANGED, finding=failure.finding))
    contents = inspect_objects(destination, {artifact.content for artifact in index.values()}, read=read_all)
    return (*wrong, *different_totals(found, index), *damaged_contents(index, contents))


def contents_of(destination: Destination) -> dict[str, Listed]:
    """Return every content that the destination holds, by key."""
    return {each.key: each for each in destination.listing(CONTENTS)}


def record_drill(destination: Destination, result: DrillResult) -> None:
    """Write a drill's result beside the manifest. Raises PlatformFailed."""
    destination.create(f"{folder(result.backup)}/{drill.object_name(result)}", drill.encode(result))


def document(backup: Backup) -> dict[str, object]:
    """Return a backup as JSON shows it."""
    found = backup.manifest
    return {
        "id": backup.id,
        "takenAt": backup.taken_at.isoformat(),
        "state": str(backup.listed.state),
        "mlflowVersion": found.mlflow_version if found else None,
        "heads": str(found.heads) if found else None,
        "artifacts": {"files": found.artifacts.files, "bytes": found.artifacts.size_bytes} if found else None,
        "damage": backup.damage or None,
        "drills": [json.loads(drill.encode(result)) for result in backup.drills],
    }


def _backup(destination: Destination, backup: str, names: Mapping[str, Listed]) -> Backup:
    keys = {
        name: f"{folder(backup)}/{name}" for name in names if name.startswith("drill-") or name == manifest.MANIFEST
    }
    content = destination.read(list(keys.values()))
    drills = []
    for name, key in sorted(keys.items()):
        if name != manifest.MANIFEST:
            try:
                drills.append(drill.decode(content[key], backup=backup))
            except PlatformFailed:
                # A result that cannot be read says nothing of the backup.
                continue
    written = names[manifest.MANIFEST].written_at
    try:
        found = manifest.decode(content[keys[manifest.MANIFEST]], backup=backup)
    except PlatformFailed as failure:
        return Backup(id=backup, manifest=None, damage=failure.finding, drills=tuple(drills), taken_at=written)
    return Backup(id=backup, manifest=found, damage="", drills=tuple(drills), taken_at=found.taken_at)
