"""The folders of a user's cache, which all checkouts share: where they are, and the lock beside each."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Iterator


def cache_folder(part: str) -> Path:
    """Return the folder that all checkouts of a user share for one kind of thing."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "mlflow-backend" / part


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock beside a folder of the cache, which is made by one process at a time."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "Make it writable, or name another cache by XDG_CACHE_HOME"
        raise PlatformFailed(
            f"cannot be made: {error.strerror}", code="environment-folder-refused", fix=fix, part=str(folder.parent)
        ) from None
    with opened_lock(folder.with_suffix(".lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def opened_lock(path: Path) -> IO[str]:
    """Open a lock file, which holds nothing. Raises PlatformFailed if something else has its name."""
    try:
        return path.open("w")
    except OSError as error:
        raise PlatformFailed(
            error.strerror or "cannot be opened",
            code="lock-file-refused",
            fix="Move it away, and repeat",
            part=str(path),
        ) from None
