"""The wait for an operation of Cloud Run: soon at first, then no more often than the pace says."""

from __future__ import annotations

import itertools
from typing import Any

from mlflow_backend.cloudrun.service import CloudRun
from mlflow_backend.pace import Pace
from tests.components.cloudrun.stacks import NAMING


class Operations:
    """An operation that has ended after so many looks."""

    def __init__(self, looks: int) -> None:
        """Take the number."""
        self.left = looks

    def call(self, method: str, _host: str, path: str) -> dict[str, Any]:
        """Return it as it is now."""
        assert (method, path) == ("GET", "v2/operations/one")
        self.left -= 1
        return {"name": "operations/one", "done": self.left <= 0, "response": {"uri": "x"}}


def test_an_operation_that_ends_soon_is_seen_soon() -> None:
    """A change of traffic takes a second; an instance that starts takes minutes, and is not asked for each moment."""
    pauses = list[float]()
    run = CloudRun(
        api=Operations(12),  # type: ignore[arg-type]
        naming=NAMING,
        pace=Pace(clock=lambda: 0.0, pause=pauses.append, poll_s=2.0),
    )
    assert run.finish({"name": "operations/one"}) == {"uri": "x"}
    assert pauses[0] == 0.125
    assert all(later <= 1.5 * pause for pause, later in itertools.pairwise(pauses))
    assert pauses[-2:] == [2.0, 2.0]
