"""The latency table: what each endpoint took, from the exchanges of one verification. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlflow_backend.verify.context import Timing


@dataclass(frozen=True, kw_only=True)
class Latency:
    """One endpoint: how often it was asked, and the median and the longest time in milliseconds."""

    endpoint: str
    count: int
    median_ms: float
    most_ms: float


def table(timings: Iterable[Timing]) -> list[Latency]:
    """One row an endpoint that answered, slowest median first. Calls ran beside each other, as those of users do."""
    by_endpoint: dict[str, list[float]] = {}
    for timing in timings:
        if timing.status is not None:
            by_endpoint.setdefault(timing.endpoint, []).append(timing.latency_ms)
    rows = [
        Latency(endpoint=endpoint, count=len(times), median_ms=median(times), most_ms=max(times))
        for endpoint, times in by_endpoint.items()
    ]
    return sorted(rows, key=lambda row: row.median_ms, reverse=True)


def text(rows: list[Latency]) -> str:
    """The table as plain text."""
    lines = [f"{'median ms':>10} {'most ms':>9} {'calls':>6}  endpoint"]
    lines += [f"{row.median_ms:10.1f} {row.most_ms:9.1f} {row.count:6d}  {row.endpoint}" for row in rows]
    return "\n".join(lines)
