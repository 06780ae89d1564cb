"""What a restore makes of the rows that a task in the backend's network has counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup import hosted
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.target import Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Counting:
    """A task that ends as it is told."""

    def __init__(self, *lines: str, exit_code: int = 0) -> None:
        self.ended = Finished(exit_code=exit_code, lines=lines, reasons=())

    def run(self, command: Sequence[str], *, deadline_s: float, complete: Callable[[Sequence[str]], bool]) -> Finished:
        """Return how it ended."""
        del command, deadline_s, complete
        return self.ended


def test_rows_that_cannot_be_counted_are_not_taken_for_none() -> None:
    """A backend that is used would else be replaced."""
    assert hosted.used(Counting(*json.dumps({"runs": 3}, indent=1).splitlines())) == {"runs": 3}
    with pytest.raises(PlatformFailed, match="no password supplied"):
        hosted.used(Counting("Traceback", "psycopg2.OperationalError: no password supplied", exit_code=1))
