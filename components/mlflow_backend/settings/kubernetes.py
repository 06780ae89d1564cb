"""Settings of Kubernetes's own: the cluster and the namespace, and what its own kinds of resources are given.

The sections that every target shares say what to create or adopt; this one adds what a cluster needs to do it. What the
target kubernetes cannot do with a combination is refused by the target itself (mlflow_backend/kubernetes/refusals.py).
"""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from mlflow_backend.settings.section import Section
from mlflow_backend.settings.users import Name as UserName  # noqa: TC001 - pydantic evaluates it

# An object's name is a DNS subdomain or label (Kubernetes, 'Object Names and IDs'); every name used here is a label.
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
# What a key may consist of (Kubernetes API reference, Secret, `data`).
SecretKeyName = Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]{1,253}$")]
ImageByDigest = Annotated[str, Field(pattern=r"^\S+@sha256:[0-9a-f]{64}$")]
_KEY = re.compile(r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def is_label(key: str, value: str) -> bool:
    """Tell whether Kubernetes takes a label (Kubernetes, 'Labels and Selectors')."""
    return bool(_KEY.fullmatch(key) and _VALUE.fullmatch(value))


def _labels(given: dict[str, str]) -> dict[str, str]:
    if not all(is_label(key, value) for key, value in given.items()):
        raise ValueError("must be labels as Kubernetes takes them")
    return given


def _endpoint(text: str) -> str:
    try:
        url = urlsplit(text)
        fits = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        fits = False
    if not fits or "@" in text or url.path or url.query or url.fragment:
        raise ValueError("must be http://HOST:PORT or https://HOST, without path or user")
    return text


Labels = Annotated[dict[str, str], AfterValidator(_labels)]
Cpu = Annotated[int, Field(ge=64, le=65536)]
MemoryMib = Annotated[int, Field(ge=64, le=1_048_576)]


class KubernetesServer(Section):
    """What the scheduler sets aside for a server; `server.cpu` and `server.memory` are its limits."""

    cpu_request: Cpu = 512
    """CPU units that are set aside, 1024 a core."""
    memory_request: MemoryMib = 1024
    """MiB that are set aside."""
    image_pull_secret: Name | None = None
    """Secret of type kubernetes.io/dockerconfigjson with the login to the image's registry."""
    rollout_deadline: Annotated[int, Field(ge=60, le=7200)] = 600
    """Seconds in which a new pod must be ready, the pull of its image included; then the update fails."""


class KubernetesIngress(Section):
    """How users reach the server from outside the cluster; it is made if `network.publicUrl` is set."""

    class_name: Name | None = None
    """Ingress class; left out, the cluster's default one."""
    tls_secret: Name | None = None
    """Secret of type kubernetes.io/tls with the public URL's certificate."""
    namespace: Name = "ingress-nginx"
    """Namespace of the ingress controller, from which the server may be called."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations for the ingress controller, over those that this target sets."""


class KubernetesNetwork(Section):
    """Who may call the server within the cluster."""

    clients: Labels = Field(default_factory=lambda: {"mlflow-backend/client": "true"})
    """Labels of the namespaces whose pods may call the server, and of such pods in its own namespace."""
    published_to: list[Name] = Field(default_factory=list)
    """Namespaces that get a ConfigMap with the tracking URI."""
    published_logins: dict[Name, UserName] = Field(default_factory=dict)
    """Namespace of `publishedTo` -> user of `access.users`, whose name and password it gets as a Secret."""


class KubernetesDatabase(Section):
    """Postgres in the cluster, or an adopted one."""

    image: ImageByDigest | None = None
    """Image of a created database, by digest: Postgres 17 with `initdb` and `postgres` on its PATH."""
    uid: Annotated[int, Field(ge=1, le=65535)] = 999
    """User of that image that Postgres runs as."""
    storage: Annotated[int, Field(ge=1, le=65536)] = 20
    """Storage of a created database in GiB."""
    storage_class: Name | None = None
    """StorageClass of the volume; left out, the cluster's default one."""
    cpu_request: Cpu = 256
    """CPU units that are set aside."""
    cpu: Cpu = 512
    """CPU units at most."""
    memory_request: MemoryMib = 512
    """MiB that are set aside."""
    memory: MemoryMib = 1024
    """MiB at most."""
    user: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] = "mlflow"
    """The server's role in the database."""
    secret: Name | None = None
    """Of an adopted database: the Secret whose key `password` is the user's."""
    host_key: SecretKeyName | None = None
    """Of an adopted database: the key of that Secret which holds its host; it is then taken instead of the one in
    `database.existing`."""
    administrator: Name | None = None
    """Of an adopted database: the Secret with `username` and `password` of a user who may make roles and databases;
    the server's are then made. Left out, they are there."""
    rds: bool = False
    """An adopted database is of Amazon RDS: its certificate is held to the authorities of RDS, which the image has."""
    ca: Name | None = None
    """Of an adopted database: the ConfigMap whose key `ca.crt` its certificate is held to; without one TLS is required,
    and not verified."""


class KubernetesCache(Section):
    """Valkey in the cluster, or an adopted one."""

    image: ImageByDigest | None = None
    """Image of a created cache, by digest, with `valkey-server` on its PATH."""
    uid: Annotated[int, Field(ge=1, le=65535)] = 999
    """User of that image that Valkey runs as."""
    cpu_request: Cpu = 128
    """CPU units that are set aside."""
    memory: MemoryMib = 256
    """MiB that are set aside, and at most."""
    secret: Name | None = None
    """Of an adopted cache: the Secret whose key `url` is its URL, password included."""


class KubernetesArtifacts(Section):
    """How the artifact store is reached."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """URL of an S3 server that is not AWS's; the deployer and the pods call it."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] = "us-east-1"
    """Region of the bucket."""
    secret: Name | None = None
    """Secret with the keys `access-key-id` and `secret-access-key`; left out, pods have an identity of the cloud's."""


class KubernetesScaling(Section):
    """When the number of replicas moves."""

    cpu_percent: Annotated[int, Field(ge=10, le=100)] = 70
    """Average CPU that the autoscaler holds, of what is set aside."""
    memory_percent: Annotated[int, Field(ge=10, le=100)] = 80
    """Average memory that the autoscaler holds, of the limit: a server at rest is above what is set aside."""


class KubernetesMonitoring(Section):
    """How Prometheus gets the servers' figures."""

    namespace: Name | None = None
    """Namespace of Prometheus, which may then ask the servers for figures. A cluster with the Prometheus Operator also
    gets a ServiceMonitor and a PrometheusRule with the alerts, and a dashboard for the Grafana beside it."""
    labels: Labels = Field(default_factory=dict)
    """Labels of the first two, by which the operator's Prometheus selects them, such as `release`."""


class KubernetesBackup(Section):
    """How `backup.destination` is reached, and what taking a backup is given."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """URL of an S3 server that is not AWS's; whoever runs scripts.backup calls it too."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")] = "us-east-1"
    """Region of the bucket; left out on `eks`, the backend's."""
    secret: Name | None = None
    """Secret with the keys `access-key-id` and `secret-access-key` of who may list and create objects there; left out,
    the pod has an identity of the cloud's."""
    temporary_mib: Annotated[int, Field(ge=256, le=1_048_576)] = 20_480
    """MiB of a node's disk at most for one sealed dump or one artifact at a time, until it is uploaded."""


class Kubernetes(Section):
    """Everything that only Kubernetes asks for."""

    kubeconfig: Annotated[str, Field(min_length=1)] | None = None
    """Path of the kubeconfig; left out, KUBECONFIG or ~/.kube/config. Its content is kept nowhere."""
    context: Annotated[str, Field(min_length=1, max_length=253)] | None = None
    """Context of that kubeconfig. It is never the current one by default."""
    namespace: Name = "mlflow"
    """Namespace of the backend; it exists, and somebody else owns it."""
    secret: Name | None = None
    """Secret with everything that the server needs, kept by somebody else; left out, one is made."""
    architecture: Literal["amd64", "arm64"] = "amd64"
    """CPU architecture of the nodes that pods are put on; the image must have it."""
    server: KubernetesServer = Field(default_factory=KubernetesServer)
    ingress: KubernetesIngress = Field(default_factory=KubernetesIngress)
    network: KubernetesNetwork = Field(default_factory=KubernetesNetwork)
    database: KubernetesDatabase = Field(default_factory=KubernetesDatabase)
    cache: KubernetesCache = Field(default_factory=KubernetesCache)
    artifacts: KubernetesArtifacts = Field(default_factory=KubernetesArtifacts)
    scaling: KubernetesScaling = Field(default_factory=KubernetesScaling)
    monitoring: KubernetesMonitoring = Field(default_factory=KubernetesMonitoring)
    backup: KubernetesBackup = Field(default_factory=KubernetesBackup)
