"""The rule that CI skips nothing: what a developer's machine lacks, a machine that decides about a change has to have.

A pytest plugin. A skip is seen by nobody in a long log, and its test then proves nothing: two tests of the user
interface had never run in CI.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "CI"
"""Set to `true` by GitHub and by most other services."""


def forbidden() -> bool:
    """Whether a skip fails this run."""
    return os.environ.get(VARIABLE, "").lower() in {"true", "1"}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run in CI that skipped a test, and would pass otherwise."""
    if _skipped(session.config) and forbidden() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say why."""
    if forbidden() and (skipped := _skipped(config)):
        terminalreporter.write_line(
            f"{len(skipped)} tests were skipped, which fails a run in CI ({VARIABLE}={os.environ[VARIABLE]}): install "
            "what each reason above says, or run as root"
        )


def _skipped(config: pytest.Config) -> Sequence[object]:
    """Return what was skipped; nothing in a worker of xdist, whose results are its controller's."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    return () if reporter is None or hasattr(config, "workerinput") else reporter.stats.get("skipped", ())
