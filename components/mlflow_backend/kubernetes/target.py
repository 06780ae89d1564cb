"""The target `kubernetes`: a namespace of any conformant cluster, named by kubeconfig and context."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import not_deployed
from mlflow_backend.hosted import HostedTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.findings import Finding
    from mlflow_backend.kubernetes.backend import KubernetesBackend
    from mlflow_backend.kubernetes.locator import KubernetesLocator
    from mlflow_backend.kubernetes.platform import KubernetesPlatform
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.report.policies import RenderedParts
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

# Each method imports what it needs: pulumi_kubernetes and boto3 take a third of a second each.
# ruff: noqa: PLC0415


class KubernetesTarget(HostedTarget):
    """See target.Target."""

    name = "kubernetes"
    platforms = frozenset({"kubernetes"})

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> KubernetesBackend:
        """Register the backend."""
        del project, stack, folder
        from mlflow_backend.kubernetes.backend import KubernetesBackend, KubernetesBackendArgs

        return KubernetesBackend("mlflow", KubernetesBackendArgs(settings=settings))

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> KubernetesLocator:
        """Return the locator that the settings give, if the cluster has the backend."""
        del folder
        from mlflow_backend.kubernetes.api import Api
        from mlflow_backend.kubernetes.locator import LOCATOR, locator_of
        from mlflow_backend.kubernetes.refusals import naming_of

        known = settings()
        found = locator_of(known, naming_of(known, project=project, stack=stack))
        api = Api(connection=found.connection, namespace=found.namespace)
        if api.get("ConfigMap", found.naming.part(LOCATOR)) is None:
            raise not_deployed(
                stack,
                f"the namespace {found.namespace} of {found.context}",
                f"there is no ConfigMap {found.naming.part(LOCATOR)}",
            )
        return found

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at the cluster."""
        del folder
        from mlflow_backend.kubernetes.api import Api
        from mlflow_backend.kubernetes.kubeconfig import Connection
        from mlflow_backend.kubernetes.preflight import check
        from mlflow_backend.kubernetes.refusals import naming_of

        naming = naming_of(settings, project=project, stack=stack)
        connection = Connection(settings.kubernetes.kubeconfig, str(settings.kubernetes.context))
        return check(settings, Api(connection=connection, namespace=naming.namespace), naming)

    def rendered(self, settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
        """Return the containers of the server and of the one-shot tasks."""
        del image
        from mlflow_backend.kubernetes.refusals import naming_of
        from mlflow_backend.kubernetes.rendered import containers
        from mlflow_backend.report.policies import RenderedParts

        naming = naming_of(settings, project=project, stack=stack)
        return RenderedParts(containers=containers(settings, naming), image_known=True)

    def billing(self) -> Mapping[str, Billing]:
        """Return nothing: what a cluster costs is its owner's matter."""
        return {}

    @property
    def locator(self) -> type[KubernetesLocator]:
        """How its backends are found."""
        from mlflow_backend.kubernetes.locator import KubernetesLocator

        return KubernetesLocator

    def store_at(self, address: str) -> Store | None:
        """Return the store of the backend that kubernetes://CONTEXT/NAMESPACE/NAME names, by its own locator."""
        from mlflow_backend.kubernetes.locator import LOCATOR, parts_of

        named = parts_of(address)
        if named is None:
            return None
        from mlflow_backend.kubernetes.api import Api
        from mlflow_backend.kubernetes.kubeconfig import Connection
        from mlflow_backend.kubernetes.platform import KubernetesPlatform
        from mlflow_backend.locator import from_document

        context, namespace, prefix = named
        found = Api(connection=Connection(None, context), namespace=namespace).get("ConfigMap", f"{prefix}-{LOCATOR}")
        if found is None:
            return None
        located = from_document(json.loads(found["data"]["locator.json"]))
        return KubernetesPlatform(located).store  # type: ignore[arg-type]

    def platform(self, locator: KubernetesLocator) -> KubernetesPlatform:
        """Return the live side of a backend in a namespace."""
        from mlflow_backend.kubernetes.platform import KubernetesPlatform

        return KubernetesPlatform(locator)


TARGET: Final = KubernetesTarget()
