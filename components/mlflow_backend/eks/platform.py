"""The live side of a backend on EKS (target.Platform): that of Kubernetes, on a cluster that AWS may not have yet."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from mlflow_backend.eks import logins
from mlflow_backend.eks.locator import EksLocator
from mlflow_backend.kubernetes.kubeconfig import ClusterGone
from mlflow_backend.kubernetes.platform import KubernetesPlatform

if TYPE_CHECKING:
    from mlflow_backend.migrate.tool import DatabaseTool
    from mlflow_backend.schema import Heads


class EksPlatform(KubernetesPlatform):
    """One backend on EKS."""

    target = EksLocator.kind
    locator: EksLocator

    def __init__(self, locator: EksLocator) -> None:
        """Take the backend's locator; nothing is asked yet."""
        super().__init__(locator, client=locator.aws.client("s3"))

    def heads(self) -> Heads | None:
        """Return the schema heads; None if there is no cluster yet."""
        with suppress(ClusterGone):
            return super().heads()
        return None

    def tool(self, version: str | None) -> DatabaseTool:
        """Return the database tool, which logs in to RDS with the administrator's password of now."""
        if self.locator.administrator:
            logins.renew_administrator(self.locator)
        return super().tool(version)
