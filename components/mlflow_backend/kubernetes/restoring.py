"""The source of a restore onto a backend in a cluster: its Secret, and through `Platform` all the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.aws import restoring
from mlflow_backend.backup.hosted import HostedVault
from mlflow_backend.kubernetes import secrets
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.render import oneshot
from mlflow_backend.kubernetes.render.secrets import ALWAYS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.platform import KubernetesPlatform


def source_of(platform: KubernetesPlatform, *, settings: bytes) -> DeployedSource:
    """Return the backend in a namespace as a restore sees it; nothing is asked yet."""
    return restoring.source_of(
        platform,
        task=KubernetesJob(api=platform.api, template=platform.naming.part(oneshot.DATABASE)),
        vault=ClusterVault(api=platform.api, secret=platform.locator.secret),
        settings=settings,
    )


@dataclass(frozen=True, kw_only=True)
class ClusterVault(HostedVault):
    """The secrets of one backend, in the Secret of its servers; what a restore replaces is kept in one beside it."""

    api: Api
    secret: str
    names = ALWAYS

    def present(self) -> Mapping[str, str]:
        """Return what the Secret holds."""
        return secrets.values(self.api, self.secret)

    def replace(self, taken: Mapping[str, str], *, label: str) -> None:
        """Write them into the Secret; those that were there, waiting keys too, are kept beside it."""
        own = {name: text for name, text in self.present().items() if name in (*ALWAYS, secrets.WAITING)}
        secrets.keep_beside(self.api, self.secret, self._beside(label), own)
        self._put(taken)

    def put_back(self, label: str) -> None:
        """Write what was kept beside the Secret, and delete that."""
        if own := secrets.values(self.api, self._beside(label)):
            self._put(own)
            self.api.delete("Secret", self._beside(label))

    def _put(self, own: Mapping[str, str]) -> None:
        secrets.rewrite(
            self.api,
            self.secret,
            lambda present: {**{name: text for name, text in present.items() if name != secrets.WAITING}, **own},
        )

    def _beside(self, label: str) -> str:
        return f"{self.secret}-before-{label.lower()}"
