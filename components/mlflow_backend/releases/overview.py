"""A deployed backend as lines for people: what it runs right now, and when it was last seen to work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import ExitCode
from mlflow_backend.releases import text
from mlflow_backend.releases.reports import shown

if TYPE_CHECKING:
    from mlflow_backend.contract import Revision
    from mlflow_backend.deployed import DeployedBackend

_SHOWN: Final = 10


def overview(deployed: DeployedBackend) -> tuple[tuple[str, ...], ExitCode]:
    """Return parts, revisions, what the ledger says and the last verdict, and the exit code that they stand for.

    The parts decide it, then the verdict. Raises StoreError, and Refused if the ledger's newest record is damaged.
    """
    parts = tuple(deployed.platform.parts())
    if not parts:
        return ("nothing is deployed (deploy the stack with `pulumi up`)",), ExitCode.PLATFORM_FAILED
    table, verdict = shown(deployed.reports)
    contents = deployed.ledger.read()
    busy, newest = deployed.platform.busy(), next(reversed(contents.releases), None)
    lines = [
        *(f"{part.name:<13} {part.state}" for part in parts),
        *([f"deploying     {busy}"] if busy else []),
        *map(_revision, deployed.platform.revisions()[:_SHOWN]),
        *text.ledger_lines(contents),
    ]
    if newest is not None and newest.release is not None:
        lines.append(f"verified      revision {newest.release.revision}, {newest.at:%F %T}Z, by the ledger")
    runs = all(part.runs for part in parts if part.runs is not None)
    return (*lines, table), verdict if runs else ExitCode.PLATFORM_FAILED


def _revision(revision: Revision) -> str:
    created = f"  {revision.created_at:%F %T}Z" if revision.created_at else ""
    return f"revision {revision.id:<4} {revision.state:<9} MLflow {revision.release.mlflow_version}{created}"
