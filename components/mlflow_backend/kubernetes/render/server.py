"""The MLflow server on Kubernetes: its pod template, its Deployment and candidate, and how their number moves. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.kubernetes.naming import ACCOUNTS, CANDIDATE, CLIENT, SERVER
from mlflow_backend.kubernetes.render import pods, secrets, stores
from mlflow_backend.schedules import BACKUP
from mlflow_backend.server import AccessControl, cache_url, describe
from mlflow_backend.settings.budget import most_replicas
from mlflow_backend.settings.server_inputs import server_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.server import Probe, ServerDescription, ServerInputs
    from mlflow_backend.settings import Settings

PORT: Final = 5000
SERVICE_PORT: Final = 80
METRICS_PORT: Final = 9464
METRICS: Final = "metrics"
"""Name of that port, by which a ServiceMonitor knows it."""
FIELD_MANAGER: Final = "mlflow-backend"
"""Who owns the Deployment's fields, for Pulumi and for a rollback: of two, each would fight the other."""
TEMPORARY: Final[Mapping[str, str]] = {"spool": "/var/spool/mlflow", "tmp": "/tmp"}  # noqa: S108 - volumes of the pod
VERSION, SETTINGS, SECRETS = "mlflow-backend/mlflow-version", "mlflow-backend/settings", "mlflow-backend/secrets"
"""Annotations by which a ReplicaSet says what it runs: the MLflow version, the release's identity, its secrets'."""

# An endpoint is taken out everywhere within this time after its pod began to end.
DRAIN_S: Final = 15
# Users wait for the next probe with each pod of a rollout, and before them the candidate's checks do.
_STARTING_S: Final = 2
HISTORY: Final = 1000
"""How many ReplicaSets the cluster keeps by itself: what no rollback could want is dropped by the ledger (prune)."""

_CPU_LIMIT: Final = 1024
_MEMORY_LIMIT_MIB: Final = 2048
_TEMPORARY_MARGIN_MIB: Final = 1024
_SCALE_IN_WINDOW_S: Final = 300
_HOSTNAME, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """A server's limits: CPU units, and memory in MiB."""

    cpu: int
    memory: int


def limits(settings: Settings, server: ServerDescription) -> Limits:
    """Return a server's limits; memory is never less than what its processes were measured to need."""
    least = max(_MEMORY_LIMIT_MIB, server.memory_mib)
    return Limits(cpu=settings.server.cpu or _CPU_LIMIT, memory=settings.server.memory or least)


def url(settings: Settings, naming: Naming) -> str:
    """Return the tracking URL: the public one, else that of the Service within the cluster."""
    root = settings.network.public_url or f"http://{naming.host()}"
    return f"{root}{settings.network.path_prefix}"


def inputs(settings: Settings, naming: Naming) -> ServerInputs:
    """Return what the server is described from."""
    found = server_inputs(
        settings,
        public_url=settings.network.public_url or f"http://{naming.host()}",
        host="0.0.0.0",  # noqa: S104 - a pod has an address of its own, and network policies are the fence
        port=PORT,
        database=stores.database_address(settings, naming),
        artifacts=stores.artifact_store(settings),
        cache=stores.cache_address(settings, naming),
        access=AccessControl(mode="basic" if settings.access.mode == "basic" else "none"),
    )
    return replace(
        found,
        hosts=(*found.hosts, *naming.hosts()),
        proxies=1 if settings.network.public_url is not None else 0,
        metrics_host=found.host,
        metrics_port=0 if settings.kubernetes.monitoring.namespace is None else METRICS_PORT,
    )


def environment(settings: Settings, naming: Naming, described: ServerDescription) -> list[Document]:
    """Return the environment of a server, and of the database tool beside it."""
    found, stored = secrets.sources(settings, naming), settings.kubernetes.database
    if (cache := inputs(settings, naming).cache) is not None:
        found[cache_url(cache).text] = secrets.cache_source(settings, naming)
    variables = pods.environment(
        {**described.environment, "TMPDIR": TEMPORARY["spool"]}, pods.secret_keys(described.secret_environment, found)
    )
    if stored.secret is None or stored.host_key is None:
        return variables
    source = pods.SecretKey(secret=stored.secret, key=stored.host_key)
    return pods.named_before(stores.HOST_VARIABLE, source, variables)


def volumes(settings: Settings, naming: Naming, *, spool_mib: int) -> list[Document]:
    """Return the volumes of a pod that runs the server's image."""
    authority = stores.database_ca(settings, naming)
    return [
        *([authority] if authority else []),
        pods.scratch("spool", spool_mib),
        pods.scratch("tmp", _TEMPORARY_MARGIN_MIB),
    ]


def mounts(settings: Settings, naming: Naming) -> dict[str, str]:
    """Return where these volumes are mounted."""
    authority = {"database-ca": stores.CA_FOLDER} if stores.database_ca(settings, naming) else {}
    return {**authority, **TEMPORARY}


def template(settings: Settings, naming: Naming, *, component: str, secrets_version: str) -> Document:
    """Return the server's pod template; that of a candidate differs in its labels only."""
    return _template(settings, naming, component, {SETTINGS: identity(settings, naming), SECRETS: secrets_version})


def identity(settings: Settings, naming: Naming) -> str:
    """Return the identity of the release: a digest over exactly what the server's pods are given."""
    document = _template(settings, naming, SERVER, {})
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def deployment(settings: Settings, naming: Naming, pod_template: Document) -> Document:
    """Return the server's Deployment, for a pod template that may be an older revision's.

    It names no number of replicas: the autoscaler owns that, and an update must not move it.
    """
    return _deployment(settings, naming, SERVER, pod_template)


def candidate(settings: Settings, naming: Naming, pod_template: Document) -> Document:
    """Return the Deployment of a release that no user meets yet: one replica."""
    found = _deployment(settings, naming, CANDIDATE, pod_template)
    found["spec"] |= {"replicas": 1, "revisionHistoryLimit": 0}
    return found


def service(settings: Settings, naming: Naming, name: str, component: str) -> Document:
    """Return the Service of the servers, or of a candidate, which nobody asks for figures."""
    ports = [_port("http", SERVICE_PORT)]
    if component == SERVER and settings.kubernetes.monitoring.namespace is not None:
        ports.append(_port(METRICS, METRICS_PORT))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": naming.metadata(name, component, pods.NO_WAIT),
        "spec": {
            "type": "ClusterIP",
            "selector": naming.selector(component),
            "ports": ports,
        },
    }


def autoscaler(settings: Settings, naming: Naming) -> Document:
    """Return what owns the number of replicas, also if the settings let it be one number only."""
    wanted = settings.kubernetes.scaling
    bound = limits(settings, describe(inputs(settings, naming)))
    memory = {"type": "AverageValue", "averageValue": pods.mib(bound.memory * wanted.memory_percent // 100)}
    metrics: dict[str, Document] = {
        "cpu": {"type": "Utilization", "averageUtilization": wanted.cpu_percent},
        "memory": memory,
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": naming.metadata(naming.part(SERVER), SERVER, pods.NO_WAIT),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": naming.part(SERVER)},
            "minReplicas": settings.server.replicas,
            "maxReplicas": most_replicas(settings),
            "metrics": [
                {"type": "Resource", "resource": {"name": name, "target": target}} for name, target in metrics.items()
            ],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": _SCALE_IN_WINDOW_S}},
        },
    }


def disruption_budget(naming: Naming) -> Document:
    """Return how many servers a drained node may take at a time; one that is not ready protects nothing."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": naming.metadata(naming.part(SERVER), SERVER),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": naming.selector(SERVER)},
        },
    }


def accounts(settings: Settings, naming: Naming) -> dict[str, Document]:
    """Return the pods' accounts: they may do nothing with the API, and no token of one is mounted."""
    login = settings.kubernetes.server.image_pull_secret
    return {
        part: {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": naming.metadata(naming.account(part), part),
            "automountServiceAccountToken": False,
            **({"imagePullSecrets": [{"name": login}]} if login else {}),
        }
        for part in (*ACCOUNTS, *([BACKUP] if settings.backup.destination else []))
    }


def client(settings: Settings, naming: Naming, namespace: str) -> Document:
    """Return what a namespace of clients gets: the variables that MLflow's clients read.

    Its name has the backend's namespace, because another one of the stack's name may publish there too.
    """
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**naming.metadata(naming.published(), CLIENT), "namespace": namespace},
        "data": {"MLFLOW_TRACKING_URI": url(settings, naming)},
    }


def _port(name: str, port: int) -> Document:
    return {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}


def _template(settings: Settings, naming: Naming, component: str, annotations: Mapping[str, str]) -> Document:
    described = describe(inputs(settings, naming))
    container = _container(settings, naming, described)
    pod = pods.spec(
        [container],
        uid=pods.SERVER_UID,
        account=naming.account(SERVER),
        volumes=volumes(settings, naming, spool_mib=settings.server.temporary_mib + _TEMPORARY_MARGIN_MIB),
        grace_s=DRAIN_S + described.stop_timeout_s,
    )
    pod |= {
        "nodeSelector": {"kubernetes.io/arch": settings.kubernetes.architecture, "kubernetes.io/os": "linux"},
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": naming.selector(component)},
                # Without it the pods of the revision before would count.
                "matchLabelKeys": ["pod-template-hash"],
            }
            for key in (_HOSTNAME, _ZONE)
        ],
    }
    return pods.template(naming, component, pod, {VERSION: settings.server.mlflow_version, **annotations})


def _container(settings: Settings, naming: Naming, described: ServerDescription) -> Document:
    wanted, bound = settings.kubernetes.server, limits(settings, described)
    container = pods.container(
        SERVER, image=str(settings.server.image), volumes=mounts(settings, naming), read_only=["database-ca"]
    )
    ready, alive = replace(described.readiness, interval_s=_STARTING_S), described.liveness
    ports = [{"name": "http", "containerPort": described.port, "protocol": "TCP"}]
    if settings.kubernetes.monitoring.namespace is not None:
        ports.append({"name": METRICS, "containerPort": METRICS_PORT, "protocol": "TCP"})
    return container | {
        "command": [pods.literal(word) for word in described.argv],
        "env": environment(settings, naming, described),
        "ports": ports,
        "resources": pods.resources(
            cpu_request=wanted.cpu_request,
            memory_request=wanted.memory_request,
            cpu_limit=bound.cpu,
            memory_limit=bound.memory,
        ),
        # Ready once, which is what holds a rollout back; then asked for life alone: a database that is away for two
        # minutes must neither replace pods nor take all of them out of the Service.
        "startupProbe": {**_probe(ready), "failureThreshold": ready.start_allowance_s // ready.interval_s},
        "readinessProbe": _probe(alive),
        "livenessProbe": {**_probe(alive), "failureThreshold": 6},
        # Requests come for as long as an endpoint is known anywhere; only then may the server stop to listen. The
        # kubelet then tells a container's first process alone, which is deaf to that unless it asks for it: `mlflow
        # server` 3.4.0 does not, and its pods went on for the whole of their grace period. So the others are told here.
        "lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", f"sleep {DRAIN_S}; kill -s TERM -- -1"]}}},
    }


def _probe(probe: Probe) -> Document:
    """Return a probe; the kubelet would send the pod's address as Host, which MLflow refuses."""
    return {
        "httpGet": {"path": probe.path, "port": "http", "httpHeaders": [{"name": "Host", "value": "localhost"}]},
        "periodSeconds": probe.interval_s,
        "timeoutSeconds": probe.timeout_s,
    }


def _deployment(settings: Settings, naming: Naming, component: str, pod_template: Document) -> Document:
    annotations = {**pods.NO_WAIT, "pulumi.com/patchFieldManager": FIELD_MANAGER}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": naming.metadata(naming.part(component), component, annotations),
        "spec": {
            "selector": {"matchLabels": naming.selector(component)},
            "template": pod_template,
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "progressDeadlineSeconds": settings.kubernetes.server.rollout_deadline,
            "revisionHistoryLimit": HISTORY,
        },
    }
