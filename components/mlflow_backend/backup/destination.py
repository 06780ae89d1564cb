"""The destination of a stack's backups: objects are listed, read and created, and never overwritten.

It is `backup.destination` and the stack's name. Nothing on a folder keeps another program from deleting or changing
what is in it. A bucket is `aws/backups.py`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from mlflow_backend.backup.damage import StoredObject
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases.stores import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    Write = Callable[[bytes], object]

_UNFINISHED = ".unfinished-"


@dataclass(frozen=True, kw_only=True)
class Listed:
    """One object as a listing gives it."""

    key: str
    size_bytes: int
    written_at: datetime


@dataclass(frozen=True, kw_only=True)
class Written:
    """One object that was written, or was there already."""

    key: str
    size_bytes: int
    sha256: str


class Destination(Protocol):
    """The objects of one stack's backups; every method raises PlatformFailed if the store fails."""

    @property
    def name(self) -> str:
        """The destination as people know it."""

    def listing(self, prefix: str) -> Sequence[Listed]:
        """Return every object below `prefix`, in the order of keys."""

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the objects of these keys; a key that does not exist is left out."""

    def chunks(self, key: str) -> Iterator[bytes]:
        """Return an object's content piece by piece."""

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if it is not there."""

    def create(self, key: str, content: bytes) -> bool:
        """Write a small object in one step; False, and nothing written, if the key exists."""

    def write(self, key: str | Callable[[str], str], fill: Callable[[Write], object]) -> Written:
        """Create one object from what `fill` writes; a key that depends on the content is a function of its SHA-256.

        An object with the same key stays as it is, and fails the call if it has another size.
        """

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it is not there."""

    def clear(self, prefix: str) -> None:
        """Delete every object below `prefix`."""

    def clear_unfinished(self) -> None:
        """Delete what interrupted writes left. Only for whoever holds the lock of backups."""


class FolderDestination(FileStore):
    """A destination in a folder of this machine."""

    @property
    def name(self) -> str:
        """The folder."""
        return str(self.folder)

    def listing(self, prefix: str) -> tuple[Listed, ...]:
        """Return every object below `prefix`, in the order of keys. Raises PlatformFailed."""
        found = []
        with self._explained(self.path(prefix)):
            for folder, _, names in os.walk(self.path(prefix), onerror=_raise_unless_missing):
                for name in names:
                    path = Path(folder, name)
                    if not name.startswith("."):
                        state = path.stat()
                        written = datetime.fromtimestamp(state.st_mtime, UTC)
                        key = path.relative_to(self.folder).as_posix()
                        found.append(Listed(key=key, size_bytes=state.st_size, written_at=written))
        return tuple(sorted(found, key=lambda each: each.key))

    def write(self, key: str | Callable[[str], str], fill: Callable[[Write], object]) -> Written:
        """Create one object from what `fill` writes; a key that depends on the content is a function of its SHA-256.

        An object with the same key stays as it is. Raises PlatformFailed if it has another size, and if the folder
        refuses.
        """
        with self._explained(self.folder):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=_UNFINISHED)
        temporary = Path(name)
        try:
            digest, size = hashlib.sha256(), 0
            with self._explained(temporary), os.fdopen(descriptor, "wb") as stream:

                def write(piece: bytes) -> None:
                    nonlocal size
                    digest.update(piece)
                    size += len(piece)
                    stream.write(piece)

                fill(write)
                stream.flush()
                os.fsync(stream.fileno())
            wanted = key if isinstance(key, str) else key(digest.hexdigest())
            self._link(temporary, wanted, size)
            return Written(key=wanted, size_bytes=size, sha256=digest.hexdigest())
        finally:
            temporary.unlink(missing_ok=True)

    def _link(self, temporary: Path, key: str, size: int) -> None:
        path = self.path(key)
        with self._explained(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                os.link(temporary, path)
            except FileExistsError:
                refuse_other_size(key, path.stat().st_size, size)
            self._settle(path.parent)

    def clear(self, prefix: str) -> None:
        """Delete the folder, with the temporary files in it."""
        shutil.rmtree(self.path(prefix), ignore_errors=True)

    def clear_unfinished(self) -> None:
        """Delete what interrupted writes left. Only for whoever holds the lock of backups."""
        with self._explained(self.folder):
            for path in self.folder.glob(f"{_UNFINISHED}*"):
                path.unlink(missing_ok=True)


def inspect_objects(destination: Destination, keys: Iterable[str], *, read: bool) -> dict[str, StoredObject]:
    """Return those of the objects that are there, with their checksums if they are to be read."""
    found = {}
    for key in keys:
        if (size := destination.size(key)) is not None:
            found[key] = StoredObject(size_bytes=size, sha256=_checksum(destination.chunks(key)) if read else None)
    return found


def refuse_other_size(key: str, there: int | None, size: int) -> None:
    """Raise PlatformFailed if the object that is there already has another size than the one to be written."""
    if there != size:
        raise PlatformFailed(
            f"it is there with {there} bytes, and {size} were to be written",
            code="backup-object-differs",
            fix="Delete it by the role that prunes, and repeat",
            part=key,
        )


def _checksum(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
