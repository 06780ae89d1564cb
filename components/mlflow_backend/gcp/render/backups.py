"""The root of a stack's backups in Cloud Storage. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.gcp.root import GcsRoot

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings


def destination(settings: Settings, stack: str) -> GcsRoot:
    """Return the root of a stack's backups, which `backup.destination` names; only for a stack that is backed up."""
    return GcsRoot.at(str(settings.backup.destination), stack)
