"""The index of a backup's artifacts, and which artifacts an incremental copy has to read. Pure.

Contents are stored as they are, once each under their SHA-256, for all backups of a stack together. A file is read
again if its stamp has changed: what a listing of the artifact store says of it, such as its ETag, version, or time of
change.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENTS = "contents"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """One file in the live artifact store, as a listing gives it. Two states of a path never share size and stamp."""

    path: str
    size_bytes: int
    stamp: str


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file as the backup holds it: its path below the artifact root, its stamp when it was read, its content."""

    path: str
    size_bytes: int
    stamp: str
    sha256: str

    @property
    def content(self) -> str:
        """The key of its content below the destination."""
        return content_key(self.sha256)


@dataclass(frozen=True, kw_only=True)
class CopyPlan:
    """What an incremental copy does: `unchanged` is taken from an index before, `to_read` is read and hashed."""

    unchanged: tuple[Artifact, ...]
    to_read: tuple[StoredFile, ...]

    @property
    def bytes_to_read(self) -> int:
        """How much is read from the artifact store; what is written may be less, because contents are shared."""
        return sum(file.size_bytes for file in self.to_read)


def content_key(sha256: str) -> str:
    """Return the key of a content below the destination; 256 folders keep a listing of each one short."""
    return f"{CONTENTS}/{sha256[:2]}/{sha256}"


def plan_copy(
    listing: Iterable[StoredFile], *, before: Mapping[str, Artifact], contents: Mapping[str, int]
) -> CopyPlan:
    """Return what a copy of `listing` has to read, in the order of paths.

    `before` is the newest whole backup's index by path. `contents` gives size in bytes by key of what the destination
    holds: a file is read again if its content is gone or has another size, so that no index names it for ever.
    """
    unchanged: list[Artifact] = []
    to_read: list[StoredFile] = []
    for file in sorted(listing, key=lambda each: each.path):
        known = before.get(file.path)
        same = known is not None and (known.size_bytes, known.stamp) == (file.size_bytes, file.stamp)
        if known is not None and same and contents.get(known.content) == known.size_bytes:
            unchanged.append(known)
        else:
            to_read.append(file)
    return CopyPlan(unchanged=tuple(unchanged), to_read=tuple(to_read))


def encode_index(artifacts: Iterable[Artifact]) -> bytes:
    """Return the index as it is stored: a JSON object a line, in the order of paths."""
    lines = (json.dumps(asdict(artifact), sort_keys=True) for artifact in sorted(artifacts, key=lambda one: one.path))
    return "".join(f"{line}\n" for line in lines).encode()


def decode_index(content: bytes, *, backup: str) -> dict[str, Artifact]:
    """Return the artifacts of an index by path.

    Raises PlatformFailed if a line is not an artifact, leads out of the artifact root, or names a path again.
    """
    found: dict[str, Artifact] = {}
    for number, line in enumerate(content.splitlines(), 1):
        artifact = _artifact(line)
        if artifact is None or artifact.path in found:
            raise PlatformFailed(
                f"line {number} is not an artifact, or names one again",
                code="backup-index-malformed",
                fix="Restore another backup",
                part=f"artifacts of {backup}",
            )
        found[artifact.path] = artifact
    return found


def _artifact(line: bytes) -> Artifact | None:
    try:
        artifact = Artifact(**json.loads(line))
        # A restore writes to this path: it must not lead out of the artifact root.
        inside = not {"", ".", ".."} & set(artifact.path.split("/"))
        sized = type(artifact.size_bytes) is int and artifact.size_bytes >= 0
        known = isinstance(artifact.stamp, str) and _SHA256.fullmatch(artifact.sha256)
    except (AttributeError, TypeError, ValueError):
        return None
    return artifact if inside and sized and known else None
