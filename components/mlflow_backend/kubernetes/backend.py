"""The target `kubernetes` as one component: it looks at the cluster, and then registers the backend's workload."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pulumi
import pulumi_kubernetes as kubernetes

from mlflow_backend.backend import Backend
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.findings import documents
from mlflow_backend.kubernetes import preflight, secrets
from mlflow_backend.kubernetes.locator import locator_of
from mlflow_backend.kubernetes.naming import SERVER
from mlflow_backend.kubernetes.platform import KubernetesPlatform
from mlflow_backend.kubernetes.refusals import naming_of
from mlflow_backend.kubernetes.render import server
from mlflow_backend.kubernetes.workload import Workload, pinned_release, refuse_cluster_provider
from mlflow_backend.settings import refuse_broken
from mlflow_backend.tokens import KUBERNETES_BACKEND

if TYPE_CHECKING:
    from mlflow_backend.findings import Finding
    from mlflow_backend.kubernetes.locator import KubernetesLocator
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.releases.pins import PinnedRelease
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class KubernetesBackendArgs:
    """A backend in a namespace of a cluster, from the settings of a stack's file or of a program."""

    settings: Settings


class KubernetesBackend(Backend):
    """An MLflow backend in a namespace of any conformant cluster.

    Attributes: `tracking_url`, `release`, `verification`; `objects`, the cluster's objects by what each is for;
    `secrets`; and `provider`, the provider of them all.
    """

    def __init__(self, name: str, args: KubernetesBackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Look at the cluster, read the ledger, and register everything in the order of an update.

        Raises SettingsError for settings that break a rule; Refused for settings that this target cannot fulfil, that
        disagree with the ledger, for a cluster that is not ready, and for a Kubernetes provider in `opts`;
        PlatformFailed if the ledger cannot be read.
        """
        refuse_cluster_provider(name, opts)
        settings = args.settings
        refuse_broken(settings)
        naming = naming_of(settings, project=pulumi.get_project(), stack=pulumi.get_stack(), name=name)
        locator = locator_of(settings, naming)
        findings, pinned, template = _inspect(settings, locator, server.identity(settings, naming))
        self.provider = kubernetes.Provider(
            f"{name}-kubernetes", kubeconfig=locator.kubeconfig, context=locator.context, namespace=naming.namespace
        )
        super().__init__(
            KUBERNETES_BACKEND,
            name,
            settings=settings,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[self.provider])),
        )
        self._serve_pinned(pinned)
        workload = Workload(
            name,
            self,
            settings=settings,
            naming=naming,
            locator=locator,
            pinned=template,
            monitors=preflight.monitors(findings),
        )
        self.objects, self.secrets = workload.objects, workload.secrets
        self._end_update(workload.serving(), after=[workload.rollout])
        workload.publish_logins()
        self._give_outputs(artifact_root=locator.store.address(ARTIFACTS), preflight=documents(findings))


def _inspect(
    settings: Settings, locator: KubernetesLocator, identity: str
) -> tuple[tuple[Finding, ...], PinnedRelease | None, Document | None]:
    """Return what preflight found, and the release that the ledger names instead of this one, with its pod template."""
    platform = KubernetesPlatform(locator)
    findings = preflight.refuse(preflight.check(settings, platform.api, locator.naming))
    if settings.kubernetes.secret is None:
        secrets.refuse_anothers(platform.api, locator.secret, locator.naming.own_labels(SERVER))
    return findings, *pinned_release(platform, identity, requested=settings.release.pin)
