"""What is made of a task that takes backups, from its exit and its log."""

from __future__ import annotations

import pytest

from mlflow_backend.backup import job
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.target import Finished


def test_the_report_of_a_task_is_found_among_its_words() -> None:
    """Both streams are one in a log."""
    lines = ("dumping", "{", ' "exit_code": 3,', ' "error": "no"', "}")
    assert job.report_of(Finished(exit_code=3, lines=lines, reasons=()), part="p") == {"exit_code": 3, "error": "no"}


def test_a_task_without_a_report_is_named_with_its_last_words() -> None:
    """A tool that cannot start says why in a traceback, and one that never ran by the platform's words."""
    ended = Finished(exit_code=1, lines=("Traceback", "ImportError: no"), reasons=("OOMKilled",))
    with pytest.raises(PlatformFailed, match=r"mlflow-backup.*OOMKilled; Traceback; ImportError: no"):
        job.report_of(ended, part="mlflow-backup")
