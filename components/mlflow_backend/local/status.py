"""What a local backend runs right now, and the last verdict on it, as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.contract import ExitCode
from mlflow_backend.local import ports
from mlflow_backend.local.history import LocalHistory
from mlflow_backend.local.releases import LocalReleases
from mlflow_backend.local.revisions import active
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.releases.reports import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.local.state import StateDir


def show(state: StateDir) -> tuple[Sequence[str], ExitCode]:
    """Return the lines, and the exit code that they stand for: the parts decide, then the last verdict."""
    verdict, code = shown(LocalReleases(state).reports)
    return [*_parts(state), *_revisions(state), verdict], code if _all_run(state) else ExitCode.PLATFORM_FAILED


def _parts(state: StateDir) -> Iterator[str]:
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


def _revisions(state: StateDir) -> Iterator[str]:
    """Tell of each revision what it runs and whether it serves."""
    for revision in LocalHistory(state).revisions():
        made = f"{revision.created_at:%F %T}Z"
        yield f"revision {revision.id:<4} {revision.state:<9} MLflow {revision.release.mlflow_version}  {made}"
    serving = active(state)
    if serving is not None and serving.metrics_port:
        yield f"metrics       http://{ports.LOOPBACK}:{serving.metrics_port}/metrics"


def _all_run(state: StateDir) -> bool:
    supervisor = Supervisor(state)
    states = [supervisor.status(name) for name in supervisor.programs()]
    return bool(states) and all(each is not None and each.state in {"RUNNING", "STARTING"} for each in states)
