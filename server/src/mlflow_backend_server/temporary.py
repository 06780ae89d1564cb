"""The temporary folder of one server's processes: made anew at each start, measured, and bounded.

MLflow copies an artifact there for each download and, in old versions, for each upload, by `tempfile` and under names
that say nothing (`tmp` and eight characters). A server that is killed leaves them, so each has a folder of its own.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend_server.health.states import Away
from mlflow_backend_server.http.metrics import group_lives

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_STEM = "mlflow-backend-server-"
_MEBI = 1024 * 1024
#: Left free on the disk whatever the budget says: logs, other programs and the system need it too.
_SPARE_BYTES = 64 * _MEBI
#: How old a measurement may be, and how many times longer than it took.
_FRESH_S, _FRESH_FACTOR = 0.2, 20


def prepare(environment: Mapping[str, str]) -> dict[str, str]:
    """Make this server's temporary folder, empty, and return the variables that its processes need.

    Called once, before there are workers. It is named by the process group; those of groups that are gone are removed.
    """
    base = Path(environment.get("TMPDIR") or tempfile.gettempdir())
    for other in base.glob(f"{_STEM}*"):
        group = other.name.removeprefix(_STEM)
        # A container that is started again has the same numbers again.
        if group == str(os.getpgrp()) or not group_lives(group):
            shutil.rmtree(other, ignore_errors=True)
    folder = base / f"{_STEM}{os.getpgrp()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # What was asked before is remembered by the module.
    tempfile.tempdir = str(folder)
    return {"TMPDIR": str(folder)}


class Space:
    """How much of the temporary folder is used, by all processes of this server, and how much may be."""

    def __init__(
        self, folder: Path, budget: int, *, spare: int = _SPARE_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Bound `folder` to `budget` bytes; 0 is no bound but the disk's."""
        self.folder, self.budget = folder, budget
        self._spare, self._clock = spare, clock
        self._measuring = threading.Lock()
        self._used, self._free, self._until = 0, 0, float("-inf")

    def room(self, *, now: bool = False) -> int:
        """Return how many bytes may still be written there: measured `now`, or at most some moments ago."""
        used, free = self._measured(anew=now)
        left = free - self._spare
        return max(0, min(left, self.budget - used) if self.budget else left)

    def used(self) -> int:
        """Return how many bytes the server's files take there."""
        return self._measured()[0]

    def ask(self) -> str:
        """Say for `/health/components` how full the folder is. Raises Away if nothing can be written there."""
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                file.write(b"\0")
        except OSError as error:
            raise Away(f"Nothing can be written to the temporary folder ({error.strerror}).") from None
        room = self.room()
        sentence = f"{self.used() // _MEBI} MiB are used by the server, and {room // _MEBI} MiB are left."
        if not room:
            raise Away(f"The temporary folder is full: {sentence}")
        return sentence

    def _measured(self, *, anew: bool = False) -> tuple[int, int]:
        with self._measuring:
            now, began = self._clock(), time.perf_counter()
            if anew or now >= self._until:
                self._used, self._free = _size(self.folder), _free(self.folder)
                self._until = now + max(_FRESH_S, _FRESH_FACTOR * (time.perf_counter() - began))
            return self._used, self._free


def _size(folder: Path) -> int:
    """Return the bytes that files below the folder take; one that goes meanwhile takes none."""
    size, folders = 0, [str(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return size


def _free(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
