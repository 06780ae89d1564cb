"""The store of a ledger's records and dumps: a root of its own beside the artifacts, out of the server's reach.

A store keeps small immutable objects by key. `create` is the one operation on which two writers may meet: of those
who create the same key exactly one succeeds, and nobody ever sees half an object.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Protocol

from mlflow_backend.contract import PlatformFailed, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

ROOT = "_backend"
LEDGER = f"{ROOT}/ledger"
NEWEST = f"{ROOT}/newest"
DUMPS = f"{ROOT}/dumps"
STAGING = f"{ROOT}/staging"
"""Where a backup's dumps are while they are sealed or restored; nothing in it outlives the command."""
LOCKS = f"{ROOT}/locks"
JOBS = f"{ROOT}/verify"
_PRIVATE_FOLDER = 0o700
_CHUNK = 1 << 20
_LOCK_POLL_S = 0.05


class Store(Protocol):
    """What the ledger needs of a store; every method raises PlatformFailed if the store fails."""

    def keys(self, prefix: str) -> Sequence[str]:
        """Return the keys right below `prefix`, in any order; none if nothing was ever written."""

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the objects of these keys; a key that does not exist is left out."""

    def create(self, key: str, content: bytes) -> bool:
        """Write an object in one step; False, and nothing written, if the key exists."""

    def replace(self, key: str, content: bytes) -> None:
        """Write an object in one step, whether it exists or not."""

    def move(self, key: str, to: str) -> None:
        """Give an object another key."""

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it is not there."""

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if it is not there."""

    def chunks(self, key: str) -> Iterator[bytes]:
        """Return an object's content piece by piece."""

    def locked(self, name: str, *, by: str, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock `name`, in the name of `by`. Raises Refused while another command holds it.

        `wait_s` is how long a lock that ends with its holder's process is waited for.
        """

    def is_locked(self, name: str) -> bool:
        """Return whether a command holds the lock `name`."""


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
        """Write the file under a name of its own, then link it: the link fails if the key exists."""
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

    def delete(self, key: str) -> None:
        """Delete the file."""
        with self._explained(self.path(key)):
            self.path(key).unlink(missing_ok=True)

    def size(self, key: str) -> int | None:
        """Return the file's size."""
        with self._explained(self.path(key)), contextlib.suppress(FileNotFoundError):
            return self.path(key).stat().st_size
        return None

    def chunks(self, key: str) -> Iterator[bytes]:
        """Read the file."""
        with self._explained(self.path(key)), self.path(key).open("rb") as stream:
            while piece := stream.read(_CHUNK):
                yield piece

    @contextlib.contextmanager
    def locked(self, name: str, *, by: str, wait_s: float = 0.0) -> Iterator[None]:
        """Hold a lock file, which the system gives back when its holder ends, however that is."""
        path, deadline = self._lock(name), time.monotonic() + wait_s
        with self._explained(path):
            path.parent.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            stream = path.open("a+")
        with stream:
            while not _taken(stream):
                if time.monotonic() >= deadline:
                    stream.seek(0)
                    raise Refused(
                        f"Another command of {stream.read() or 'this machine'} works on this backend.",
                        code="backend-lock-held",
                        fix="Let it end, and repeat.",
                    )
                time.sleep(_LOCK_POLL_S)
            stream.truncate(0)
            stream.write(by)
            stream.flush()
            yield

    def is_locked(self, name: str) -> bool:
        """Return whether a process holds the lock file."""
        return is_locked(self._lock(name))

    def _lock(self, name: str) -> Path:
        return self.path(f"{LOCKS}/{name}.lock")

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


def _taken(stream: IO[str]) -> bool:
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_locked(lock: Path) -> bool:
    """Return whether somebody holds a lock file; nothing is made if it was never taken. Raises PlatformFailed."""
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
