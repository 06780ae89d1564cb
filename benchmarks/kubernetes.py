"""The target kubernetes, without a cluster: rendering all documents."""

from __future__ import annotations

import statistics
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.row import Row, seconds
from tests.components.kubernetes import documents, stacks

if TYPE_CHECKING:
    from collections.abc import Iterator

_RENDER_RUNS: Final = 200


def measure() -> Iterator[Row]:
    """Measure it."""
    yield rendering()


def rendering() -> Row:
    """Render every document of the stack `cluster`, from settings that are already read."""
    settings = stacks.settings_of()
    taken = sorted(seconds(partial(documents.all_of, settings)) * 1000 for _ in range(_RENDER_RUNS))
    return Row(
        what="kubernetes: render all documents",
        value=statistics.median(taken),
        unit="ms",
        limit=20,
        figures=f"median of {_RENDER_RUNS}; slowest {taken[-1]:.1f} ms",
    )
