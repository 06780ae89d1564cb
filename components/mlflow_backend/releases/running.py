"""Files of this machine by which a command shows that it runs, and the next command sees that it was killed.

A file is locked as long as its process lives, whatever ends that. Numbers of processes would not do: machines that are
made of one snapshot share names, starts and numbers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def shown_as_running(token: str) -> Iterator[None]:
    """Show that the command with this token runs; a machine that lets no file be made shows nothing."""
    path = _path(token)
    try:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def was_killed(token: str) -> bool:
    """Return whether the command with this token ran on this machine and surely runs no more."""
    try:
        with _path(token).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        # No such file, or one that is locked or another user's: nobody can tell.
        return False
    return True


def forget(token: str) -> None:
    """Delete what a killed command has left."""
    with contextlib.suppress(OSError):
        _path(token).unlink()


def _path(token: str) -> Path:
    return Path(tempfile.gettempdir()) / f"mlflow-backend-{token}.lock"
