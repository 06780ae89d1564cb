"""The order in which the workers of xdist take the files of tests, and which files stay with one worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.workermanage import WorkerController

CLUSTER = "tests/rig/kubernetes/"
"""A worker keeps the cluster that it starts until it ends: more of them would run idly beside all else."""

_ORDER = ("tests/engine/", "tests/rig/", "tests/server/", "tests/client/", "tests/scripts/", "tests/tools/")


def scope_of(nodeid: str) -> str:
    """Return what of the suite has to stay with one worker: the test's file, or all files that need the cluster."""
    return CLUSTER if nodeid.startswith(CLUSTER) else nodeid.partition("::")[0]


def turn_of(scope: str) -> int:
    """Return when a scope's turn is, from 0 on.

    Files that start whole backends come first. They take minutes, mostly waiting, so that several fill the processors
    together; one that begins last would keep a single worker. The cluster follows them, because it runs until the end.
    """
    if scope == CLUSTER:
        return len(_ORDER)
    return next((turn for turn, folder in enumerate(_ORDER) if scope.startswith(folder)), len(_ORDER) + 1)


class SlowestFirst(LoadFileScheduling):
    """One file at a time, by turn; in a turn xdist's order, those with the most tests first."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=turn_of), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadFileScheduling | None:
    """Distribute whole files in that order; leave any other distribution to xdist."""
    return SlowestFirst(config, log) if config.getoption("dist") == "loadfile" else None
