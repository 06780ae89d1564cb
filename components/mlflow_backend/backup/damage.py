"""The damage of a backup: objects missing, cut or changed, totals and rows that differ, a schema too new. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.backup.artifacts import Artifact
    from mlflow_backend.backup.manifest import Manifest
    from mlflow_backend.schema import SchemaTable

_SHOWN = 5


class Kind(StrEnum):
    """How an object differs from what the backup names."""

    MISSING = "missing"
    CUT = "cut"
    CHANGED = "changed"
    DIFFERENT = "different"


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """What was found at the destination; `sha256` is None if only a listing was asked for."""

    size_bytes: int
    sha256: str | None = None


@dataclass(frozen=True, kw_only=True)
class Damage:
    """One object that is not as the backup names it, and what was found, as the end of a sentence about it."""

    object: str
    kind: Kind
    finding: str

    def __str__(self) -> str:
        """Return the sentence, without its full stop."""
        return f"{self.object} {self.finding}"


def damaged_parts(manifest: Manifest, found: Mapping[str, StoredObject]) -> tuple[Damage, ...]:
    """Return what is wrong with the objects of the backup's folder; `found` is by name of object."""
    damages = (
        _damage(part.object, found.get(part.object), size_bytes=part.size_bytes, sha256=part.sha256)
        for part in manifest.parts
    )
    return tuple(damage for damage in damages if damage)


def damaged_contents(index: Mapping[str, Artifact], found: Mapping[str, StoredObject]) -> tuple[Damage, ...]:
    """Return what is wrong with the contents of the artifacts; `found` is by key below the destination.

    Each is reported by the artifact's path, because that is what users know.
    """
    damages = (
        _damage(path, found.get(artifact.content), size_bytes=artifact.size_bytes, sha256=artifact.sha256)
        for path, artifact in sorted(index.items())
    )
    return tuple(damage for damage in damages if damage)


def different_totals(manifest: Manifest, index: Mapping[str, Artifact]) -> tuple[Damage, ...]:
    """Return whether the index names as many files and bytes as the manifest says."""
    expected = (manifest.artifacts.files, manifest.artifacts.size_bytes)
    found = (len(index), sum(artifact.size_bytes for artifact in index.values()))
    if found == expected:
        return ()
    words = f"names {found[0]} files of {found[1]} bytes, and the manifest {expected[0]} of {expected[1]}"
    return (Damage(object=manifest.artifacts.index.object, kind=Kind.DIFFERENT, finding=words),)


def refuse_damaged(backup: str, damages: Sequence[Damage]) -> None:
    """Raise PlatformFailed if there is any damage; the text names the first ones."""
    if damages:
        more = len(damages) - _SHOWN
        words = "; ".join(map(str, damages[:_SHOWN])) + (f"; and {more} more" if more > 0 else "")
        raise PlatformFailed(
            words,
            code="backup-damaged",
            fix="Restore another backup. Delete what is damaged by the role that prunes; the next backup writes it",
            part=f"backup {backup}",
        )


def refuse_unknown_schema(manifest: Manifest, table: SchemaTable) -> None:
    """Raise Refused if a database of the backup is at a schema that this release does not know: no server could run."""
    for name, dumped in manifest.databases.items():
        if dumped.head is not None and dumped.head not in table.revisions.get(name, ()):
            raise Refused(
                f"its database {name} is at schema {dumped.head}, which no known MLflow version has; the backup was "
                f"made by MLflow {manifest.mlflow_version}",
                code="backup-schema-unknown",
                fix="Use a release of mlflow-backend that knows that MLflow version",
                part=f"backup {manifest.id}",
            )


def _damage(name: str, found: StoredObject | None, *, size_bytes: int, sha256: str) -> Damage | None:
    if found is None:
        return Damage(object=name, kind=Kind.MISSING, finding="is missing")
    if found.size_bytes < size_bytes:
        words = f"is cut: {found.size_bytes} bytes of {size_bytes}"
        return Damage(object=name, kind=Kind.CUT, finding=words)
    if found.size_bytes > size_bytes:
        words = f"has {found.size_bytes} bytes instead of {size_bytes}"
        return Damage(object=name, kind=Kind.CHANGED, finding=words)
    if found.sha256 not in (None, sha256):
        return Damage(object=name, kind=Kind.CHANGED, finding="was changed: its checksum differs")
    return None
