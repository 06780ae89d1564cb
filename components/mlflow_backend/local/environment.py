"""The environment of one MLflow server: installed from its full hash lock, shared by all stacks of a user.

Only a version with a lock in server/requirements can be asked for, and a revision names the lock by its digest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend import environments, packaged
from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from mlflow_backend.environments import Environment


def locate(version: str) -> Environment:
    """Return where a version's environment is or will be.

    Raises PlatformFailed if the version has no lock.
    """
    lock = packaged.LOCKS / f"{version}.txt"
    if not lock.exists():
        finding = f"MLflow {version} has no lock; there are locks for {', '.join(environments.locked_versions())}"
        fix = f"Choose one of them, or make one: `python -m scripts.lock_server {version}`"
        raise PlatformFailed(
            finding, code="version-not-installable", fix=fix, part="mlflow-backend:server.mlflowVersion"
        )
    return environments.named(version, lock)


def install(version: str) -> Environment:
    """Install a version's environment if it is missing; others who want the same one wait for it.

    Raises PlatformFailed if the installation fails; nothing half-installed is left.
    """
    lock = packaged.LOCKS / f"{version}.txt"
    return environments.install(locate(version), lock, f"MLflow {version}", compiled=True)
