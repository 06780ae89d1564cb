"""The locator of a backend on EKS, by which it is found without Pulumi. Pure."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from mlflow_backend.aws.connection import Connection
from mlflow_backend.eks.connection import EksConnection
from mlflow_backend.eks.within import ADMINISTRATOR, cluster_name, rds, within
from mlflow_backend.kubernetes.locator import KubernetesLocator, locator_of

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.kubernetes.kubeconfig import ClusterConnection
    from mlflow_backend.kubernetes.naming import Naming as ObjectNaming
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class EksLocator(KubernetesLocator):
    """A backend in a namespace of an EKS cluster.

    `context` is the cluster's ARN, `region` also the cluster's own. `profile` and `role` are those of its `Connection`.
    `database` is the identifier of the RDS instance that the stack made, empty for any other database, and
    `administrator` the Secret with a copy of that instance's login.
    """

    kind = "eks"
    cluster: str
    profile: str | None = None
    role: str | None = None
    database: str = ""
    administrator: str = ""

    @property
    def aws(self) -> Connection:
        """How AWS is reached for it."""
        return Connection(self.region, self.profile, self.role)

    @property
    def connection(self) -> ClusterConnection:
        """How its cluster is reached."""
        return EksConnection(aws=self.aws, cluster=self.cluster, context=self.context)

    @property
    def address(self) -> str:
        """The backend's root in its bucket, as a URL."""
        return self.store.address("").rstrip("/")


def eks_locator(settings: Settings, naming: Naming, objects: ObjectNaming, connection: Connection) -> EksLocator:
    """Return the locator of the backend that settings describe: nothing in it is drawn by AWS or by the cluster."""
    found = locator_of(within(settings, naming, objects), objects)
    return EksLocator(
        **{each.name: getattr(found, each.name) for each in fields(found)},
        cluster=cluster_name(settings, naming),
        profile=connection.profile,
        role=connection.role,
        database=naming.database() if rds(settings) else "",
        administrator=objects.part(ADMINISTRATOR) if rds(settings) else "",
    )
