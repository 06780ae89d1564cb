"""Show what a stack runs and the last verdict on it.

The verdict is the report's, with its time: after a red update the stack's outputs still show the one before.

Exit codes: 0 all parts run and the last verdict is pass; 1 the last verdict is another; 2 usage; 3 the stack is
not deployed; 4 a part does not run; 5 the last verdict is inconclusive, or there is none.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode
from mlflow_backend.local import ports
from mlflow_backend.local.history import LocalHistory
from mlflow_backend.local.releases import LocalReleases
from mlflow_backend.local.revisions import active
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.releases.reports import shown
from mlflow_backend.releases.targets import open_releases

if TYPE_CHECKING:
    from collections.abc import Iterator


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/status.py", description=__doc__)
    parser.add_argument("--stack", default="local", help="the stack (default: local)")
    options = parser.parse_args(arguments)
    show = _ecs if stacks.on_ecs(options.stack, Path.cwd()) else _local
    return ended("status", partial(show, options.stack), stack=options.stack)


def _local(stack: str) -> int:
    state = StateDir(stacks.local_backend(stack, Path.cwd()))
    print("\n".join((*parts(state), *revisions(state), *verdict(state))))
    return exit_code(state)


def _ecs(stack: str) -> int:
    from mlflow_backend.ecs import parameters, status  # noqa: PLC0415 - AWS only where it is asked

    locator = stacks.locator_of(stack, Path.cwd())
    releases = open_releases(locator)
    print("\n".join(status.lines(releases, parameters.waiting(locator))))
    return status.exit_code(releases)


def parts(state: StateDir) -> Iterator[str]:
    """Tell of each supervised program whether it runs."""
    supervisor = Supervisor(state)
    if not supervisor.running():
        yield "supervisor    not running (`make up` starts it)"
        return
    yield "supervisor    running"
    serving = active(state)
    for name in supervisor.programs():
        status = supervisor.status(name)
        said = "unknown" if status is None else status.state.lower()
        # supervisord calls a server 'starting' for its first 20 s, however long it has answered.
        answers = serving is not None and name == serving.program.name and ports.listens(serving.port)
        yield f"{name:<13} {'running' if said == 'starting' and answers else said}"


def revisions(state: StateDir) -> Iterator[str]:
    """Tell of each revision what it runs and whether it serves."""
    for revision in LocalHistory(state).revisions():
        release = revision.release
        made = f"{revision.created_at:%F %T}Z"
        yield f"revision {revision.id:<4} {revision.state:<9} MLflow {release.mlflow_version}  {made}"
    serving = active(state)
    if serving is not None and serving.metrics_port:
        yield f"metrics       http://{ports.LOOPBACK}:{serving.metrics_port}/metrics"


def verdict(state: StateDir) -> Iterator[str]:
    """Give the last report's table."""
    yield shown(LocalReleases(state).reports)[0]


def exit_code(state: StateDir) -> ExitCode:
    """Return what the command ends with."""
    supervisor = Supervisor(state)
    states = [supervisor.status(name) for name in supervisor.programs()]
    if not states or any(s is None or s.state not in {"RUNNING", "STARTING"} for s in states):
        return ExitCode.PLATFORM_FAILED
    return shown(LocalReleases(state).reports)[1]


if __name__ == "__main__":
    sys.exit(main())
