"""Backups of a backend on EKS (target.Backups): taken as in any cluster; a restore was never tried here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup.source import not_built
from mlflow_backend.eks.locator import EksLocator
from mlflow_backend.kubernetes.backups import KubernetesBackups

if TYPE_CHECKING:
    from mlflow_backend.backup.source import DeployedSource


class EksBackups(KubernetesBackups):
    """See target.Backups."""

    def source(self) -> DeployedSource:
        """Refuse."""
        raise not_built(EksLocator.kind)
