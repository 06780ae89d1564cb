"""The manifest of a backup, as values and as JSON. Pure.

It is written last and never again: a folder without one is what an interrupted backup left. Every other object of the
backup's folder is named in it with its size and its checksum as stored, so that no key is needed to show it whole.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases.records import DumpedDatabase
from mlflow_backend.schema import Heads

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = "mlflow-backend/backup/1"
MANIFEST = "manifest.json"
_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{6}")
_OBJECT = re.compile(r"[a-z0-9][a-z0-9._-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ArtifactMode(StrEnum):
    """How a backup holds the artifacts; a manifest of another mode is of a release that has more."""

    COPY = "copy"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One object of a backup beside its databases; size in bytes and SHA-256 are of the object as stored."""

    object: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class ArtifactIndex:
    """The index of the artifacts: its own object, and how many files of how many bytes it names."""

    mode: ArtifactMode
    index: Part
    files: int
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """One whole backup.

    `taken_at` is the moment of the tracking database's snapshot: what was logged later is not in the backup.
    `finished_at` is when its last object was written. `databases` holds `tracking` and, with access on, `auth`; their
    rows were counted in the dump's own snapshot, in which `samples` were taken too: by table of the tracking database,
    how many rows the database tool has read, and the sum of their checksums. `identity` is what database and store know
    each other by. `keys` is the sealed key bundle, None if the stack names no recovery key: its secrets
    at rest then cannot be read elsewhere.
    """

    id: str
    stack: str
    target: str
    taken_at: datetime
    finished_at: datetime
    mlflow_version: str
    image_digest: str | None = None
    environment_lock: str | None = None
    identity: Mapping[str, str]
    databases: Mapping[str, DumpedDatabase]
    samples: Mapping[str, str]
    artifacts: ArtifactIndex
    settings: Part
    keys: Part | None = None

    @property
    def heads(self) -> Heads:
        """The schema that a restore of it brings back."""
        auth = self.databases.get("auth")
        return Heads(tracking=self.databases["tracking"].head, auth=auth.head if auth else None)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Every object of the backup's folder but the manifest; the artifacts' contents are not in that folder."""
        dumps = (
            Part(object=dump.object, sha256=dump.sha256, size_bytes=dump.size_bytes) for dump in self.databases.values()
        )
        return (*dumps, self.artifacts.index, self.settings, *((self.keys,) if self.keys else ()))


def encode(manifest: Manifest) -> bytes:
    """Return the manifest as it is stored, with a checksum over everything else in it."""
    document = {"format": FORMAT, **json.loads(json.dumps(asdict(manifest), default=datetime.isoformat))}
    return (json.dumps({**document, "checksum": _checksum(document)}, indent=1) + "\n").encode()


def decode(content: bytes, *, backup: str) -> Manifest:
    """Return the manifest that `content` holds, of the backup with the id `backup`.

    Raises PlatformFailed if it is not the manifest of that backup exactly as it was written.
    """
    part = f"manifest of {backup}"
    try:
        document = json.loads(content)
        checksum = document.pop("checksum")
    except (ValueError, AttributeError, KeyError, TypeError):
        raise PlatformFailed(
            "it is not a whole JSON object", code="backup-manifest-cut", fix="Restore another backup", part=part
        ) from None
    if checksum != _checksum(document):
        raise PlatformFailed(
            "it was changed after it was written: its checksum differs",
            code="backup-manifest-changed",
            fix="Restore another backup",
            part=part,
        )
    if document.pop("format", None) != FORMAT:
        raise PlatformFailed(
            f"it is of another format than {FORMAT}",
            code="backup-manifest-of-other-format",
            fix="Use the release of mlflow-backend that made the backup, or a newer one",
            part=part,
        )
    try:
        return _manifest(document, backup)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise PlatformFailed(
            f"an entry is missing or malformed ({type(error).__name__})",
            code="backup-manifest-malformed",
            fix="Restore another backup",
            part=part,
        ) from None


def _manifest(document: Mapping[str, Any], backup: str) -> Manifest:
    if document["id"] != backup:
        raise ValueError("the manifest of another backup")
    manifest = Manifest(
        id=_matching(_ID, document["id"]),
        stack=_text(document["stack"]),
        target=_text(document["target"]),
        taken_at=_moment(document["taken_at"]),
        finished_at=_moment(document["finished_at"]),
        mlflow_version=_text(document["mlflow_version"]),
        image_digest=_optional_text(document["image_digest"]),
        environment_lock=_optional_text(document["environment_lock"]),
        identity=dict(document["identity"]),
        databases={name: _database(entry) for name, entry in document["databases"].items()},
        samples={_text(table): _text(sample) for table, sample in document["samples"].items()},
        artifacts=_artifacts(document["artifacts"]),
        settings=_part(document["settings"]),
        keys=_part(document["keys"]) if document["keys"] is not None else None,
    )
    if not {"tracking"} <= set(manifest.databases) <= {"tracking", "auth"}:
        raise ValueError("no tracking database, or one that MLflow has not")
    objects = [part.object for part in manifest.parts]
    if len({MANIFEST, *objects}) != len(objects) + 1:
        raise ValueError("one object is named twice")
    return manifest


def _database(entry: Mapping[str, Any]) -> DumpedDatabase:
    part = _part(entry)
    return DumpedDatabase(
        object=part.object,
        sha256=part.sha256,
        size_bytes=part.size_bytes,
        head=_optional_text(entry["head"]),
        rows={table: _count(rows) for table, rows in entry["rows"].items()},
    )


def _artifacts(entry: Mapping[str, Any]) -> ArtifactIndex:
    return ArtifactIndex(
        mode=ArtifactMode(entry["mode"]),
        index=_part(entry["index"]),
        files=_count(entry["files"]),
        size_bytes=_count(entry["size_bytes"]),
    )


def _part(entry: Mapping[str, Any]) -> Part:
    # A name with a slash or dots could lead a restore out of the backup's folder.
    return Part(
        object=_matching(_OBJECT, entry["object"]),
        sha256=_matching(_SHA256, entry["sha256"]),
        size_bytes=_count(entry["size_bytes"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("not a text")
    return value


def _optional_text(value: object) -> str | None:
    return None if value is None else _text(value)


def _matching(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise ValueError("a name or a checksum is malformed")
    return text


def _count(number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError("not a number of bytes, files or rows")
    return number


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    return moment


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
