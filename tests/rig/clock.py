"""A platform's seconds on the rig: shorter than real ones unless something real is waited for.

Intervals (health checks, draining) shrink by `interval`; patience with a starting container (grace, start period, stop
timeout) by `patience`, because a real server takes as long to start as it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# A process on a busy machine starts as fast as it can; no patience is shorter than that.
_LEAST_PATIENCE_S: Final = 4.0


@dataclass(frozen=True, kw_only=True)
class Clock:
    """How many real seconds a platform's second takes."""

    interval: float = 0.1
    patience: float = 1.0

    def every(self, seconds: float) -> float:
        """Return the real seconds of an interval."""
        return seconds * self.interval

    def within(self, seconds: float) -> float:
        """Return the real seconds of a patience."""
        return seconds * self.patience if self.patience >= 1 else max(seconds * self.patience, _LEAST_PATIENCE_S)


SERVERS = Clock()
"""For real MLflow servers."""
TINY = Clock(interval=0.05, patience=0.02)
"""For containers that start at once: 20 seconds of ECS are one here, and 50 of its patience."""
