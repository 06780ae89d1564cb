"""Pure: how many tasks a service starts and stops next, and when it gives a deployment up.

Sources: ECS developer guide, 'Amazon ECS service rolling update parameters' and 'deployment circuit breaker'.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

_LEAST_FAILURES, _MOST_FAILURES = 3, 200


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A service's tasks: those of the deployment it works towards, and those of older ones. None is being stopped."""

    desired: int
    new: int
    new_healthy: int
    old: int
    minimum_percent: int = 100
    maximum_percent: int = 200


@dataclass(frozen=True, kw_only=True)
class Step:
    """How many tasks to start, and how many new and old ones to stop."""

    start: int = 0
    stop_new: int = 0
    stop_old: int = 0


def step(counts: Counts) -> Step:
    """Return what a service does next: start up to the maximum, then stop old tasks down to the healthy minimum."""
    most = max(counts.desired * counts.maximum_percent // 100, counts.desired and 1)
    least = math.ceil(counts.desired * counts.minimum_percent / 100)
    start = max(0, min(counts.desired - counts.new, most - counts.new - counts.old))
    # Old tasks are healthy as far as anybody knows; only new ones have to prove it.
    spare = counts.new_healthy + counts.old - least
    return Step(
        start=start,
        stop_new=max(0, counts.new - counts.desired),
        stop_old=max(0, min(counts.old, spare)),
    )


def failures_allowed(desired: int) -> int:
    """Return after how many failed tasks the circuit breaker ends a deployment."""
    return min(_MOST_FAILURES, max(_LEAST_FAILURES, math.ceil(desired * 0.5)))
