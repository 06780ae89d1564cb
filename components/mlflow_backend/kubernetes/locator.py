"""The locator of a backend on Kubernetes, by which it is found without Pulumi. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from mlflow_backend.aws.render.policies import S3Root
from mlflow_backend.hosted import HostedLocator
from mlflow_backend.kubernetes.kubeconfig import Connection
from mlflow_backend.kubernetes.naming import Naming
from mlflow_backend.kubernetes.render import secrets, server, stores

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.kubeconfig import ClusterConnection
    from mlflow_backend.settings import Settings

SCHEME = "kubernetes://"
LOCATOR = "locator"
"""Part whose ConfigMap holds the locator's document, by which an address is enough to find a backend."""


@dataclass(frozen=True, kw_only=True)
class KubernetesLocator(HostedLocator):
    """A backend in a namespace: its cluster, its objects' names, its store, and how users call it.

    `secret` is the server's Secret. `endpoint` and `keys` are those of the artifact store: the URL of an S3
    server that is not AWS's, and the Secret with its keys.
    """

    kind = "kubernetes"
    kept_in = S3Root
    kubeconfig: str | None = None
    context: str
    namespace: str
    project: str
    name: str
    secret: str
    region: str
    endpoint: str | None = None
    keys: str | None = None

    @property
    def connection(self) -> ClusterConnection:
        """How its cluster is reached."""
        return Connection(self.kubeconfig, self.context)

    @property
    def naming(self) -> Naming:
        """What its objects are called."""
        return Naming(project=self.project, stack=self.stack, namespace=self.namespace, name=self.name)

    @property
    def address(self) -> str:
        """The context, the namespace, and what its objects' names begin with."""
        return f"{SCHEME}{quote(self.context, safe='')}/{self.namespace}/{self.naming.prefix}"

    def reference(self, secret: str) -> str:
        """Return the reference to one of the server's secrets."""
        return f"kubernetes:{self.secret}#{secret}"


def locator_of(settings: Settings, naming: Naming) -> KubernetesLocator:
    """Return the locator of the backend that settings describe: nothing in it is drawn by the cluster."""
    wanted, store = settings.kubernetes, stores.store(settings)
    return KubernetesLocator(
        stack=naming.stack,
        kubeconfig=wanted.kubeconfig,
        context=str(wanted.context),
        namespace=naming.namespace,
        project=naming.project,
        name=naming.name,
        url=server.url(settings, naming),
        secret=secrets.server_secret(settings, naming),
        access=settings.access.mode,
        inside=settings.network.public_url is None,
        bucket=store.bucket,
        root=store.root,
        region=wanted.artifacts.region,
        endpoint=wanted.artifacts.endpoint,
        keys=wanted.artifacts.secret,
    )


def parts_of(address: str) -> tuple[str, str, str] | None:
    """Return the context, the namespace and the name of an address; None for one of another form."""
    parts = address.removeprefix(SCHEME).rstrip("/").split("/")
    expected = 3
    if not address.startswith(SCHEME) or len(parts) != expected or not all(parts):
        return None
    context, namespace, prefix = parts
    return unquote(context), namespace, prefix
