"""A thread that does something again and again, and whose failure fails the test instead of being forgotten."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """Calls a function every `pause_s` seconds until it is closed."""

    def __init__(self, name: str, work: Callable[[], None], *, pause_s: float) -> None:
        """Begin."""
        self._work, self._pause_s = work, pause_s
        self._over, self._fault = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._over.set()
        self._thread.join()

    def check(self) -> None:
        """Raise what ended it before its time."""
        if self._fault:
            raise self._fault[0]

    def _run(self) -> None:
        while not self._over.wait(self._pause_s):
            try:
                self._work()
            except BaseException as error:  # noqa: BLE001 - raised by check
                self._fault.append(error)
                return
