"""What a deployed backend on ECS runs right now, and when it was last seen to work, as lines for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import ExitCode
from mlflow_backend.releases import text
from mlflow_backend.releases.reports import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow_backend.ecs.releases import EcsReleases

_SHOWN: Final = 10


def lines(releases: EcsReleases, waiting: Iterable[str] = ()) -> Iterator[str]:
    """Tell of tasks, revisions, `waiting` (what waits for a restart), the ledger's state, and the last verdict."""
    service = releases.scale.service()
    if service is None:
        yield "service       not there (deploy the stack with `pulumi up`)"
        return
    yield f"service       {service['runningCount']} of {service['desiredCount']} tasks run"
    if busy := releases.busy():
        yield f"deploying     {busy}"
    for revision in releases.history().revisions()[:_SHOWN]:
        yield f"revision {revision.id:<4} {revision.state:<9} MLflow {revision.release.mlflow_version}"
    yield from waiting
    contents = releases.ledger.read()
    yield from text.ledger_lines(contents)
    newest = next((record for record in reversed(contents.releases) if record.release), None)
    if newest is not None and newest.release is not None:
        yield f"verified      revision {newest.release.revision}, {newest.at:%F %T}Z, by the ledger"
    yield shown(releases.reports)[0]


def exit_code(releases: EcsReleases) -> ExitCode:
    """Return what the command ends with: the tasks decide, then the last verdict."""
    service = releases.scale.service()
    if service is None or not 0 < service["desiredCount"] <= service["runningCount"]:
        return ExitCode.PLATFORM_FAILED
    return shown(releases.reports)[1]
