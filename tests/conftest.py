"""What holds for all tests: their levels, and the count of MLflow servers that each level started."""

from __future__ import annotations

import collections
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from coverage import Coverage
from hypothesis import settings

from tests import distribution, skips
from tests.levels import starts_something

if TYPE_CHECKING:
    import pytest

TESTS = Path(__file__).parent
LEVELS_BY_FOLDER = {"engine": "engine", "rig": "rig"}

# As in an activated shell (tools/bootstrap/shell.py): each program that a test starts would be compiled anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

STARTS = "MLFLOW_BACKEND_SERVER_STARTS"
"""Names a file to which a test appends its level's name, a line for each MLflow server that it started."""


def pytest_configure(config: pytest.Config) -> None:
    """Give all workers one file to count into; let no property fail for being slow on a busy machine."""
    settings.register_profile("mlflow-backend", deadline=None)
    settings.load_profile("mlflow-backend")
    config.pluginmanager.register(skips, "skips")
    config.pluginmanager.register(distribution, "distribution")
    if STARTS not in os.environ:
        handle, path = tempfile.mkstemp(prefix="mlflow-backend-starts-")
        os.close(handle)
        os.environ[STARTS] = path
        config.add_cleanup(lambda: (os.environ.pop(STARTS), Path(path).unlink()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is in a level's folder with that level, so that no test can slip into `make test-fast`."""
    for item in items:
        folder = item.path.relative_to(TESTS).parts[0] if item.path.is_relative_to(TESTS) else ""
        if folder in LEVELS_BY_FOLDER:
            item.add_marker(LEVELS_BY_FOLDER[folder])
        if starts_something(item.path):
            item.add_marker("service")


def pytest_sessionfinish() -> None:
    """Write what a worker has measured of coverage: xdist kills one that takes more than ten seconds to exit."""
    if (measured := Coverage.current()) is not None:
        measured.save()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many servers were started: each costs 11 CPU-seconds, and all tests together have 45 minutes."""
    started = collections.Counter(Path(os.environ[STARTS]).read_text().split())
    levels = ", ".join(f"{level} {number}" for level, number in sorted(started.items())) or "none"
    terminalreporter.write_line(f"MLflow servers started: {levels}")
