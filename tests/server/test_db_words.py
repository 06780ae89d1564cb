"""The database tool and the project that calls it are two packages with one vocabulary."""

from __future__ import annotations

from mlflow_backend_server.db import verdicts

from mlflow_backend import schema
from mlflow_backend.migrate.tool import Code


def test_exit_codes_mean_the_same_on_both_sides() -> None:
    """A code that only the tool knew would be read as a run without a report."""
    theirs = {code.name: code.value for code in verdicts.ExitCode}
    assert {code.name: code.value for code in Code if code is not Code.UNREADABLE} == theirs


def test_directions_mean_the_same_on_both_sides() -> None:
    """A direction that only the tool knew would end a migration in a traceback."""
    assert {each.name: each.value for each in schema.Direction} == {
        each.name: each.value for each in verdicts.Direction
    }
