"""Where a ledger's records and its dumps lie: a root of its own beside the artifacts, out of the server's reach.

A store keeps small immutable objects by key. `create` is the one operation on which two writers may meet: of those
who create the same key exactly one succeeds, and nobody ever sees half an object.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = "_backend"
LEDGER = f"{ROOT}/ledger"
DUMPS = f"{ROOT}/dumps"
_PRIVATE_FOLDER = 0o700


class Store(Protocol):
    """What the ledger needs of a place; every method raises PlatformFailed where the place fails."""

    def keys(self, prefix: str) -> Sequence[str]:
        """Return the keys right below `prefix`, in any order; none where nothing was ever written."""

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the objects of these keys; a key that does not exist is left out."""

    def create(self, key: str, content: bytes) -> bool:
        """Write an object in one step; False, and nothing written, where the key exists."""

    def replace(self, key: str, content: bytes) -> None:
        """Write an object in one step, whether it exists or not."""

    def move(self, key: str, to: str) -> None:
        """Give an object another key."""


class FileStore:
    """A store in a folder of this machine. The folder is made with the first object."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is read yet."""
        self.folder = folder

    def keys(self, prefix: str) -> Sequence[str]:
        """Return the keys of the files in the folder `prefix`; temporary files are none."""
        folder = self.path(prefix)
        with self._explained(folder):
            if not folder.exists():
                return ()
            return tuple(f"{prefix}/{entry.name}" for entry in os.scandir(folder) if not entry.name.startswith("."))

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the files' contents."""
        found = {}
        for key in keys:
            with self._explained(self.path(key)), contextlib.suppress(FileNotFoundError):
                found[key] = self.path(key).read_bytes()
        return found

    def create(self, key: str, content: bytes) -> bool:
        """Write the file under a name of its own, then link it: the link fails where the key exists."""
        with self._written(key, content) as temporary:
            try:
                os.link(temporary, self.path(key))
            except FileExistsError:
                return False
            return True

    def replace(self, key: str, content: bytes) -> None:
        """Write the file under a name of its own, then rename it."""
        with self._written(key, content) as temporary:
            temporary.replace(self.path(key))

    def move(self, key: str, to: str) -> None:
        """Rename the file."""
        with self._explained(self.path(key)):
            self.path(to).parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            self.path(key).replace(self.path(to))

    def path(self, key: str) -> Path:
        """Return the file of a key. Raises ValueError for one that leads out of the folder."""
        parts = PurePosixPath(key).parts
        if not parts or key.startswith("/") or ".." in parts:
            raise ValueError(f"not a key of the backend's store: {key}")
        return self.folder.joinpath(*parts)

    @contextlib.contextmanager
    def _written(self, key: str, content: bytes) -> Iterator[Path]:
        path = self.path(key)
        with self._explained(path):
            path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            temporary = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(content)
                    stream.flush()
                    os.fsync(stream.fileno())
                yield temporary
                self._settle(path.parent)
            finally:
                temporary.unlink(missing_ok=True)

    @staticmethod
    def _settle(folder: Path) -> None:
        """Make the folder's entries survive a power cut."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @staticmethod
    @contextlib.contextmanager
    def _explained(path: Path) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            finding = error.strerror or type(error).__name__
            raise PlatformFailed(
                finding,
                code="store-folder-refused",
                fix="Make its folder readable and writable, with space left",
                part=str(path),
            ) from None


def lock_held(lock: Path) -> bool:
    """Tell whether somebody holds a lock file; nothing is made where it was never taken. Raises PlatformFailed."""
    try:
        with lock.open() as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    except OSError as error:
        raise PlatformFailed(
            error.strerror or "cannot be opened",
            code="lock-not-readable",
            fix="Move it away, and repeat",
            part=str(lock),
        ) from None
    return False
