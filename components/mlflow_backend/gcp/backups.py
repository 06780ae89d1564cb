"""A bucket of Cloud Storage as the destination of backups (backup.destination.Destination).

A role that may neither overwrite nor delete is enough for a backup. Nothing is collected in a file: the job that takes
one has no disk, its files are memory.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.backup.artifacts import StoredFile
from mlflow_backend.backup.destination import Listed, Written, refuse_other_size
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp.store import GcsStore
from mlflow_backend.gcp.uploads import PIECE_BYTES, Upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Write = Callable[[bytes], object]

# What is written all the time is no artifact of a run that has ended, and the next backup reads it again.
_TRIES: Final = 3


class BucketDestination(GcsStore):
    """The objects of one stack's backups, below a root in a bucket."""

    @property
    def name(self) -> str:
        """The address."""
        return self.address("")

    def listing(self, prefix: str) -> tuple[Listed, ...]:
        """Return every object below `prefix`."""
        return tuple(
            Listed(key=key, size_bytes=int(item["size"]), written_at=datetime.fromisoformat(item["timeCreated"]))
            for key, item in self.items(f"{prefix}/")
        )

    def items(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield each key that begins so, with what Cloud Storage says of its object."""
        return self.described(prefix, "name,size,timeCreated,generation", needed=True)

    def files(self) -> Iterator[StoredFile]:
        """Give every object, with its generation."""
        for path, item in self.items():
            yield StoredFile(path=path, size_bytes=int(item["size"]), stamp=str(item["generation"]))

    def write(self, key: str | Callable[[str], str], fill: Callable[[Write], object]) -> Written:
        """Create one object from what `fill` writes, which is called twice for a large one whose key is a function.

        Raises PlatformFailed also if it then writes something else each time.
        """
        if isinstance(key, str):
            return self._created(key, *self._sent(key, fill))
        for _ in range(_TRIES):
            first = _Content(keep_bytes=PIECE_BYTES)
            fill(first.write)
            wanted = key(first.sha256)
            there = self.size(wanted)
            if there is not None:
                refuse_other_size(wanted, there, first.size_bytes)
                return Written(key=wanted, size_bytes=first.size_bytes, sha256=first.sha256)
            upload, content = self._sent(wanted, first.again or fill)
            if content.sha256 == first.sha256:
                return self._created(wanted, upload, content)
        raise PlatformFailed(
            f"its content was another one each time that it was read, {_TRIES} times",
            code="backup-content-changing",
            fix="See who writes it all the time, and repeat",
            part=wanted,
        )

    def clear(self, prefix: str) -> None:
        """Delete every object below `prefix`."""
        for each in self.listing(prefix):
            self.delete(each.key)

    def clear_unfinished(self) -> None:
        """Do nothing: an upload that was interrupted is no object, and Google forgets it."""

    def _sent(self, key: str, fill: Callable[[Write], object]) -> tuple[Upload, _Content]:
        """Send what `fill` writes; there is no object yet."""
        upload, content = Upload(self._api, self._root, key), _Content()

        def write(piece: bytes) -> None:
            content.write(piece)
            upload.write(piece)

        fill(write)
        return upload, content

    def _created(self, key: str, upload: Upload, content: _Content) -> Written:
        """Create the object from what was sent; one that is there stays, and fails the call if its size is another."""
        if not upload.finish():
            refuse_other_size(key, self.size(key), content.size_bytes)
        return Written(key=key, size_bytes=content.size_bytes, sha256=content.sha256)


class _Content:
    """What was written: its size and checksum, and all of it if that is no more than `keep_bytes`."""

    def __init__(self, *, keep_bytes: int = 0) -> None:
        self._digest, self._limit = hashlib.sha256(), keep_bytes
        self._kept: bytearray | None = bytearray()
        self.size_bytes = 0

    def write(self, piece: bytes) -> None:
        self._digest.update(piece)
        self.size_bytes += len(piece)
        if self._kept is not None and self.size_bytes <= self._limit:
            self._kept += piece
        else:
            self._kept = None

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    @property
    def again(self) -> Callable[[Write], object] | None:
        """What writes the same once more; None if it was not kept."""
        kept = self._kept
        return None if kept is None else lambda write: write(bytes(kept))
