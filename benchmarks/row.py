"""One line of the table that `make bench` prints."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class Row:
    """What was measured, what it came to, and what it has to stay under; `figures` are the values behind it."""

    what: str
    value: float
    unit: str
    limit: float
    figures: str

    @property
    def holds(self) -> bool:
        """Whether the value is within its limit."""
        return self.value <= self.limit

    def markdown(self) -> str:
        """Return the row of a Markdown table."""
        mark = "yes" if self.holds else "**no**"
        return f"| {self.what} | {self.value:.2f} {self.unit} | {self.limit:g} {self.unit} | {mark} | {self.figures} |"


def seconds(work: Callable[[], object]) -> float:
    """Return how long one call takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleaved(runs: int, *works: Callable[[], object]) -> list[float]:
    """Return each work's median time in seconds; they take turns, so that the machine's mood meets all alike."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(runs):
        for taken, work in zip(times, works, strict=True):
            taken.append(seconds(work))
    return [statistics.median(taken) for taken in times]
