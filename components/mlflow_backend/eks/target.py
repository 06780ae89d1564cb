"""The target `eks`: the workload of the target kubernetes on a cluster of Amazon EKS, with stores of AWS's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import not_deployed
from mlflow_backend.hosted import HostedTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.permissions import Grant, PulumiState, Purpose
    from mlflow_backend.eks.backend import EksBackend
    from mlflow_backend.eks.locator import EksLocator
    from mlflow_backend.eks.platform import EksPlatform
    from mlflow_backend.findings import Finding
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.report.policies import RenderedParts
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

# Each method imports what it needs: pulumi_aws takes seconds, boto3 and pulumi_kubernetes a third of one.
# ruff: noqa: PLC0415


class EksTarget(HostedTarget):
    """See target.Target."""

    name = "eks"
    platforms = frozenset({"aws", "eks", "kubernetes"})

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> EksBackend:
        """Register the backend."""
        del project, stack, folder
        from mlflow_backend.eks.backend import EksBackend, EksBackendArgs

        return EksBackend("mlflow", EksBackendArgs(settings=settings))

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> EksLocator:
        """Return the locator that the settings give, if the cluster has the backend."""
        del folder
        from mlflow_backend.kubernetes.api import Api
        from mlflow_backend.kubernetes.kubeconfig import ClusterGone
        from mlflow_backend.kubernetes.locator import LOCATOR

        found = _located(settings(), project=project, stack=stack)
        try:
            there = Api(connection=found.connection, namespace=found.namespace).get(
                "ConfigMap", found.naming.part(LOCATOR)
            )
        except ClusterGone:
            there = None
        if there is None:
            raise not_deployed(
                stack,
                f"the namespace {found.namespace} of the cluster {found.cluster}",
                f"there is no ConfigMap {found.naming.part(LOCATOR)}",
            )
        return found

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at the cluster."""
        del folder
        from mlflow_backend.eks.preflight import check
        from mlflow_backend.eks.refusals import naming_of
        from mlflow_backend.eks.within import within

        names = naming_of(settings, project=project, stack=stack)
        return check(settings, within(settings, *names), _located(settings, project=project, stack=stack))

    def rendered(self, settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
        """Return the containers, and the IAM documents of their roles."""
        del image
        from mlflow_backend.eks.rendered import render

        return render(settings, project=project, stack=stack)

    def billing(self) -> Mapping[str, Billing]:
        """Return what AWS bills."""
        from mlflow_backend.eks.rendered import BILLING

        return BILLING

    def grants(
        self, settings: Settings, *, project: str, stack: str, purpose: Purpose, state: PulumiState | None
    ) -> tuple[Naming, tuple[Grant, ...]]:
        """See aws.permissions.RolesOnAws."""
        from mlflow_backend.eks.permissions import grants
        from mlflow_backend.eks.refusals import naming_of

        naming, _ = naming_of(settings, project=project, stack=stack)
        return naming, grants(settings, naming, purpose, state=state)

    @property
    def locator(self) -> type[EksLocator]:
        """How its backends are found."""
        from mlflow_backend.eks.locator import EksLocator

        return EksLocator

    def store_at(self, address: str) -> Store | None:
        """Return nothing: the address is that of a bucket, whose locator says which target it is of."""
        del address
        return None

    def platform(self, locator: EksLocator) -> EksPlatform:
        """Return the live side of a backend."""
        from mlflow_backend.eks.platform import EksPlatform

        return EksPlatform(locator)


def _located(settings: Settings, *, project: str, stack: str) -> EksLocator:
    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.eks.locator import eks_locator
    from mlflow_backend.eks.refusals import naming_of

    naming, objects = naming_of(settings, project=project, stack=stack)
    return eks_locator(settings, naming, objects, Connection(naming.region))


TARGET: Final = EksTarget()
