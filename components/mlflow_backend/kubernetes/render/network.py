"""The Ingress, and network policies that deny all but the flows that are named. Pure.

A cluster whose network plugin ignores policies takes them all the same; that they hold is for a test on the cluster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlflow_backend.kubernetes.naming import CACHE, CANDIDATE, DATABASE, JOB, SERVER
from mlflow_backend.kubernetes.render import pods, server, stores
from mlflow_backend.schedules import BACKUP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.settings import Settings

_NAMESPACE: Final = "kubernetes.io/metadata.name"
_DNS_PORT, _HTTPS_PORT, _HTTP_PORT = 53, 443, 80
# Metadata services answer on link-local addresses: whoever reaches them has the node's own rights.
_LINK_LOCAL, _LINK_LOCAL_6 = "169.254.0.0/16", "fe80::/10"
# Where the agent of EKS pod identities listens on each node (Amazon EKS user guide, 'EKS Pod Identities').
_POD_IDENTITY: Final = ("169.254.170.23/32", "fd00:ec2::23/128")
_WORLD: Final = [
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": [_LINK_LOCAL]}},
    {"ipBlock": {"cidr": "::/0", "except": [_LINK_LOCAL_6, _POD_IDENTITY[1]]}},
]
# Where a node's own DNS cache listens (Kubernetes, 'Using NodeLocal DNSCache in Kubernetes Clusters').
_NODE_DNS: Final = "169.254.20.10/32"


def ingress(settings: Settings, naming: Naming) -> Document:
    """Return how the public URL reaches the server: any body, for as long as a request may take.

    The annotations are ingress-nginx's; other controllers have no limit by default, or their own annotations.
    """
    public, wanted = urlsplit(settings.network.public_url or ""), settings.kubernetes.ingress
    host = str(public.hostname)
    seconds = str(settings.server.request_timeout)
    annotations = {
        "nginx.ingress.kubernetes.io/proxy-body-size": "0",
        "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-read-timeout": seconds,
        "nginx.ingress.kubernetes.io/proxy-send-timeout": seconds,
        **pods.NO_WAIT,
        **wanted.annotations,
    }
    backend = {"service": {"name": naming.prefix, "port": {"name": "http"}}}
    path = {"path": settings.network.path_prefix or "/", "pathType": "Prefix", "backend": backend}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": naming.metadata(naming.prefix, SERVER, annotations),
        "spec": {
            **({"ingressClassName": wanted.class_name} if wanted.class_name else {}),
            **({"tls": [{"hosts": [host], "secretName": wanted.tls_secret}]} if wanted.tls_secret else {}),
            "rules": [{"host": host, "http": {"paths": [path]}}],
        },
    }


def policies(settings: Settings, naming: Naming) -> dict[str, Document]:
    """Return the network policies by the part that each is for."""
    wanted = settings.kubernetes
    callers = [
        {"podSelector": {"matchLabels": naming.selector(JOB)}},
        {"podSelector": {"matchLabels": wanted.network.clients}},
        {"namespaceSelector": {"matchLabels": wanted.network.clients}},
    ]
    if settings.network.public_url is not None:
        callers.append({"namespaceSelector": {"matchLabels": {_NAMESPACE: wanted.ingress.namespace}}})
    serving = [_flow(callers, server.PORT)]
    if (watching := wanted.monitoring.namespace) is not None:
        prometheus = [{"namespaceSelector": {"matchLabels": {_NAMESPACE: watching}}}]
        serving.append(_flow(prometheus, server.METRICS_PORT))
    own = [{"podSelector": {"matchLabels": naming.selector(part)}} for part in (SERVER, CANDIDATE, JOB)]
    backups = [{"podSelector": {"matchLabels": naming.selector(BACKUP)}}] if settings.backup.destination else []
    found = {
        "default": _policy(naming, "default", naming.selector(), types=("Ingress", "Egress")),
        SERVER: _policy(naming, SERVER, naming.selector(SERVER), ingress=serving),
        CANDIDATE: _policy(naming, CANDIDATE, naming.selector(CANDIDATE), ingress=[_flow(callers[:1], server.PORT)]),
        "out": _policy(naming, "out", None, egress=_out(settings, naming)),
    }
    if settings.database.mode == "create":
        found[DATABASE] = _policy(
            naming, DATABASE, naming.selector(DATABASE), ingress=[_flow([*own, *backups], stores.DATABASE_PORT)]
        )
    if settings.cache.mode == "create":
        found[CACHE] = _policy(naming, CACHE, naming.selector(CACHE), ingress=[_flow(own[:2], stores.CACHE_PORT)])
    if backups:
        outside = (settings.kubernetes.artifacts.endpoint, settings.kubernetes.backup.endpoint)
        flows = [
            *_stores(settings, naming, outside),
            *_identities(settings.kubernetes.artifacts.secret and settings.kubernetes.backup.secret),
        ]
        found[BACKUP] = _policy(naming, BACKUP, naming.selector(BACKUP), egress=flows)
    return found


def _out(settings: Settings, naming: Naming) -> list[Document]:
    """Return what servers and one-shot tasks call: names, stores, HTTPS outside, and a Job the servers."""
    cache = stores.cache_address(settings, naming)
    return [
        *_stores(settings, naming, (settings.kubernetes.artifacts.endpoint, settings.network.public_url)),
        _to([{"podSelector": {"matchLabels": naming.selector(part)}} for part in (SERVER, CANDIDATE)], server.PORT),
        _to(
            [{"podSelector": {"matchLabels": naming.selector(CACHE)}}] if settings.cache.mode == "create" else _WORLD,
            cache.port,
        ),
        *_identities(settings.kubernetes.artifacts.secret),
    ]


def _stores(settings: Settings, naming: Naming, urls: Iterable[str | None]) -> list[Document]:
    """Return the way to names, to the database, to HTTPS outside, and to the ports of these URLs."""
    outside = {_HTTPS_PORT, *(_port(url) for url in urls if url)}
    dns = [{"namespaceSelector": {"matchLabels": {_NAMESPACE: "kube-system"}}}, {"ipBlock": {"cidr": _NODE_DNS}}]
    own = [{"podSelector": {"matchLabels": naming.selector(DATABASE)}}]
    return [
        {"to": dns, "ports": [{"port": _DNS_PORT, "protocol": protocol} for protocol in ("UDP", "TCP")]},
        {"to": _WORLD, "ports": [{"port": port, "protocol": "TCP"} for port in sorted(outside)]},
        _to(
            own if settings.database.mode == "create" else _WORLD,
            stores.database_address(settings, naming).port,
        ),
    ]


def _identities(secret: str | None) -> list[Document]:
    """Return the way to the agent of pod identities, without which pods that have no keys in a Secret ask nobody."""
    return [] if secret else [_to([{"ipBlock": {"cidr": each}} for each in _POD_IDENTITY], _HTTP_PORT)]


def _port(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or (_HTTPS_PORT if parts.scheme == "https" else _HTTP_PORT)


def _policy(  # noqa: PLR0913 - what a policy says, by name
    naming: Naming,
    part: str,
    selected: dict[str, str] | None,
    *,
    ingress: Sequence[Document] = (),
    egress: Sequence[Document] = (),
    types: Sequence[str] = (),
) -> Document:
    """Return a policy for the pods with these labels, or for all that run the server's image."""
    pods = (
        {"matchLabels": selected}
        if selected is not None
        else {
            "matchLabels": naming.selector(),
            "matchExpressions": [
                {"key": "app.kubernetes.io/component", "operator": "In", "values": [SERVER, CANDIDATE, JOB]}
            ],
        }
    )
    rules = {"ingress": list(ingress), "egress": list(egress)}
    kinds = types or [kind for kind, name in (("Ingress", "ingress"), ("Egress", "egress")) if rules[name]]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": naming.metadata(naming.part(part), SERVER if part in {"default", "out"} else part),
        "spec": {
            "podSelector": pods,
            "policyTypes": list(kinds),
            **{name: flows for name, flows in rules.items() if flows},
        },
    }


def _flow(callers: Sequence[Document], port: int) -> Document:
    return {"from": list(callers), "ports": [{"port": port, "protocol": "TCP"}]}


def _to(peers: Sequence[Document], port: int) -> Document:
    return {"to": list(peers), "ports": [{"port": port, "protocol": "TCP"}]}
