"""The waits for a one-shot task, on every platform: until it runs, until it has ended, and until its log is whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from mlflow_backend.contract import PlatformFailed
    from mlflow_backend.pace import Pace

Ended = TypeVar("Ended")

START_S: Final = 300
"""Seconds from a task's creation to its running container: a place in the network, and the whole image's pull."""


@dataclass(frozen=True, kw_only=True)
class Seen(Generic[Ended]):
    """What the platform says of a task now. `ended` is None until it has ended."""

    begun: bool
    ended: Ended | None = None


def await_end(
    look: Callable[[], Seen[Ended]],
    *,
    pace: Pace,
    deadline_s: float,
    overdue: Callable[[str], PlatformFailed],
) -> Ended:
    """Return what `look` says of a task that has ended.

    It has START_S to begin, and `deadline_s` seconds from then. Raises what `overdue` makes of the clause that says
    which of them has passed, after it has ended the task.
    """
    since, pauses, begun = pace.clock(), pace.growing(), False
    while True:
        seen, now = look(), pace.clock()
        if seen.ended is not None:
            return seen.ended
        if seen.begun and not begun:
            since, begun = now, True
        limit = deadline_s if begun else START_S
        if now - since >= limit:
            raise overdue(f"had not {'ended' if begun else 'started'} after {limit:.0f} s")
        pace.pause(next(pauses))


def whole_log(
    read: Callable[[], Iterable[str]], complete: Callable[[Sequence[str]], bool], *, pace: Pace, lag_s: float
) -> tuple[str, ...]:
    """Return the lines of a task that has ended, when `complete` finds all that is wanted, at the latest after `lag_s`.

    A platform shows the last lines some seconds after they were written, and may show fewer than it has shown.
    """
    began, pauses = pace.clock(), pace.growing()
    lines: tuple[str, ...] = ()
    while True:
        lines = max(lines, tuple(read()), key=len)
        if complete(lines) or pace.clock() - began >= lag_s:
            return lines
        pace.pause(next(pauses))
