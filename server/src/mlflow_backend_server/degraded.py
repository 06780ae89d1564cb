"""Lines in the server's log about components that do not work, for as long as they do not.

Clouds have no figure of what only the server knows; what they have is its log, and alarms on its lines.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from mlflow_backend_server.health.states import State

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow_backend_server.health.board import Board

_logger = logging.getLogger(__name__)
#: Twice within the minute that an alarm counts over.
EACH_S = 30.0


class DegradedLog:
    """Asks the components now and then, in one worker of the server: the one that has `folder`'s lock."""

    def __init__(
        self,
        board: Board,
        folder: Path,
        write: Callable[[str, str, int, str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take what all workers of this server share as a folder; `write` gets component, state, seconds, sentence."""
        self._board, self._folder, self._write, self._clock = board, folder, write, clock
        self._lock: int | None = None
        self._since: dict[str, float] = {}

    def run(self) -> None:
        """Ask every EACH_S, in a thread, for as long as this process lives."""
        threading.Thread(target=self._loop, name="degraded", daemon=True).start()

    def _loop(self) -> None:
        pause = threading.Event()
        while True:
            try:
                self.round()
            except Exception as error:  # noqa: BLE001 - one bad round must not end all later ones
                _logger.warning("The components were not asked: %s.", type(error).__name__)
            pause.wait(EACH_S)

    def round(self) -> None:
        """Ask once, unless another worker does it: a line for each that fails, and one for each that works again."""
        if not self._elected():
            return
        now = self._clock()
        for name, finding in self._board.look()[0].items():
            if finding.state is State.FAILED:
                since = self._since.setdefault(name, now)
            elif name in self._since:
                since = self._since.pop(name)
            else:
                continue
            self._write(name, str(finding.state), int(now - since), finding.sentence)

    def _elected(self) -> bool:
        """Return whether this worker has the lock, which the system takes from one that has ended."""
        if self._lock is None:
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(folder)
                return False
            except OSError:
                os.close(folder)
                raise
            self._lock = folder
        return True
