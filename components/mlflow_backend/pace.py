"""The pace of a wait: its clock and its pauses, so that a test need not wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A wait is at most a third longer than what is waited for, but for the first sixteenth of a pause.
_FIRST_LOOKS: Final = 16
_GROWTH: Final = 1.5


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The clock and the pause between two questions; `poll_s` is that pause in seconds."""

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    poll_s: float = 1.0

    def growing(self) -> Iterator[float]:
        """Yield pauses that grow up to `poll_s`, so that what ends at once is seen at once."""
        pause = self.poll_s / _FIRST_LOOKS
        while True:
            yield pause
            pause = min(_GROWTH * pause, self.poll_s)


def wait_until(is_so: Callable[[], bool], *, timeout_s: float, poll_s: float = 0.05) -> bool:
    """Return whether something became so within the time; it is asked at least once."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(poll_s)
    return True
