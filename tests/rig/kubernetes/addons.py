"""What a cluster has besides Kubernetes itself, as its documents: names, metrics, an ingress controller, volumes.

Each runs as a pod, where a user's cluster has it too, so that network policies find it there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.kubernetes.images import ADDONS
from tests.rig.kubernetes.parts import DNS, DOMAIN, INGRESS, NODE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

INGRESS_CLASS: Final = "traefik"
INGRESS_DOMAIN: Final = "rig.test"
STORAGE_CLASS: Final = "rig"
VOLUMES: Final = 24
READY: Final = (("kube-system", "coredns"), ("kube-system", "metrics-server"), ("ingress", "traefik"))
"""Namespaces and names of the deployments."""
_NAMES: Final = f"""
.:53 {{
    errors
    health :8080
    ready :8181
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        ttl 1
    }}
    template IN A {INGRESS_DOMAIN} {{
        answer "{{{{ .Name }}}} 1 IN A {INGRESS}"
    }}
    template IN AAAA {INGRESS_DOMAIN} {{
        rcode NOERROR
    }}
}}
"""


def documents(volumes: Path) -> list[dict[str, Any]]:
    """Return all documents; the volumes lie in a folder, which exists."""
    return [*_names(), *_metrics(), *_ingress(), *_volumes(volumes)]


def deployment(
    namespace: str,
    name: str,
    image: str,
    command: Sequence[str],
    *,
    ready: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
    account: str = "default",
    **pod: Any,
) -> dict[str, Any]:
    """Return a deployment of one pod."""
    labels = {"app": name, **(labels or {})}
    container = {"name": name, "image": image, "imagePullPolicy": "Never", "command": [*command]}
    # Often, because somebody waits for it.
    probe = {"periodSeconds": 1, "failureThreshold": 60, **ready}
    mounts = {"volumeMounts": pod.pop("volumeMounts", [])}
    spec = {"serviceAccountName": account, "containers": [{**container, "readinessProbe": probe, **mounts}], **pod}
    template = {"metadata": {"labels": labels}, "spec": {"terminationGracePeriodSeconds": 1, **spec}}
    return {
        **head("apps/v1", "Deployment", name, namespace),
        "spec": {"selector": {"matchLabels": {"app": name}}, "template": template},
    }


def service(namespace: str, name: str, ports: Mapping[str, tuple[int, int]], address: str = "") -> dict[str, Any]:
    """Return the service of a deployment: for each name of a port, its own and the pod's."""
    listed = [
        {"name": each, "port": own, "targetPort": target, "protocol": "UDP" if each.endswith("udp") else "TCP"}
        for each, (own, target) in ports.items()
    ]
    spec = {"selector": {"app": name}, "ports": listed, **({"clusterIP": address} if address else {})}
    return {**head("v1", "Service", name, namespace), "spec": spec}


def _names() -> list[dict[str, Any]]:
    config = {**head("v1", "ConfigMap", "coredns", "kube-system"), "data": {"Corefile": _NAMES}}
    made = deployment(
        "kube-system",
        "coredns",
        ADDONS,
        ["/coredns", "-conf", "/config/Corefile"],
        ready={"httpGet": {"path": "/ready", "port": 8181}},
        labels={"k8s-app": "kube-dns"},
        account="coredns",
        volumes=[{"name": "config", "configMap": {"name": "coredns"}}],
        volumeMounts=[{"name": "config", "mountPath": "/config"}],
        dnsPolicy="Default",
    )
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    ports = {"udp": (53, 53), "tcp": (53, 53)}
    return [config, *_account("kube-system", "coredns", rules), made, service("kube-system", "coredns", ports, DNS)]


def _metrics() -> list[dict[str, Any]]:
    name = "metrics-server"
    rules = [
        {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]},
    ]
    reader = {
        **head("rbac.authorization.k8s.io/v1", "RoleBinding", name, "kube-system"),
        "roleRef": _reference("Role", "extension-apiserver-authentication-reader"),
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": "kube-system"}],
    }
    flags = (
        "--cert-dir=/tmp",
        "--secure-port=10250",
        "--kubelet-insecure-tls",
        "--metric-resolution=10s",
        "--kubelet-request-timeout=5s",
    )
    made = deployment(
        "kube-system",
        name,
        ADDONS,
        [f"/{name}", *flags, "--kubelet-preferred-address-types=InternalIP"],
        ready={"httpGet": {"path": "/readyz", "port": 10250, "scheme": "HTTPS"}},
        account=name,
        volumes=[{"name": "tmp", "emptyDir": {}}],
        volumeMounts=[{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - of the container
    )
    registered = {
        **head("apiregistration.k8s.io/v1", "APIService", "v1beta1.metrics.k8s.io"),
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "service": {"name": name, "namespace": "kube-system"},
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "insecureSkipTLSVerify": True,
        },
    }
    bound = _binding(f"{name}-delegator", "system:auth-delegator", "kube-system", name)
    account = _account("kube-system", name, rules)
    return [*account, reader, bound, made, service("kube-system", name, {"https": (443, 10250)}), registered]


def _ingress() -> list[dict[str, Any]]:
    rules = [
        {"apiGroups": [""], "resources": ["services", "secrets", "nodes"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
        {
            "apiGroups": ["networking.k8s.io"],
            "resources": ["ingresses", "ingressclasses"],
            "verbs": ["get", "list", "watch"],
        },
        {"apiGroups": ["networking.k8s.io"], "resources": ["ingresses/status"], "verbs": ["update"]},
    ]
    flags = (
        "--entrypoints.web.address=:8000",
        "--entrypoints.websecure.address=:8443",
        "--entrypoints.websecure.http.tls=true",
        "--entrypoints.traefik.address=:8080",
        "--ping=true",
        # The usual proxy cuts an answer now and then on a loaded machine: it drops its connection if the answer begins
        # before it has seen the end of the request's body ('use of closed network connection', traefik#10381).
        "--experimental.fastproxy=true",
        "--providers.kubernetesingress=true",
        f"--providers.kubernetesingress.ingressclass={INGRESS_CLASS}",
        f"--providers.kubernetesingress.ingressendpoint.ip={INGRESS}",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
    )
    made = deployment(
        "ingress",
        "traefik",
        ADDONS,
        ["/traefik", *flags],
        ready={"httpGet": {"path": "/ping", "port": 8080}},
        account="traefik",
    )
    chosen = {
        **head("networking.k8s.io/v1", "IngressClass", INGRESS_CLASS),
        "spec": {"controller": "traefik.io/ingress-controller"},
    }
    ports = {"http": (80, 8000), "https": (443, 8443)}
    reached = service("ingress", "traefik", ports, INGRESS)
    return [head("v1", "Namespace", "ingress"), *_account("ingress", "traefik", rules), chosen, made, reached]


def _volumes(folder: Path) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [
        {
            **head("storage.k8s.io/v1", "StorageClass", STORAGE_CLASS),
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
        }
    ]
    for number in range(VOLUMES):
        (folder / str(number)).mkdir()
        expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
        spec = {
            "capacity": {"storage": "20Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "local": {"path": str(folder / str(number))},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
        }
        made.append({**head("v1", "PersistentVolume", f"rig-{number}"), "spec": spec})
    return made


def _account(namespace: str, name: str, rules: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    role = {**head("rbac.authorization.k8s.io/v1", "ClusterRole", f"rig:{name}"), "rules": [*rules]}
    bound = _binding(f"rig:{name}", f"rig:{name}", namespace, name)
    return [head("v1", "ServiceAccount", name, namespace), role, bound]


def _binding(name: str, role: str, namespace: str, account: str) -> dict[str, Any]:
    return {
        **head("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", name),
        "roleRef": _reference("ClusterRole", role),
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name}


def head(version: str, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
    """Return the beginning of a document."""
    metadata = {"name": name, **({"namespace": namespace} if namespace else {})}
    return {"apiVersion": version, "kind": kind, "metadata": metadata}


def tiny(namespace: str, image: str, name: str = "server", **labels: str) -> list[dict[str, Any]]:
    """Return a deployment of the image `addons` that answers by HTTP with its pod's name, and its service."""
    ready = {"httpGet": {"path": "/", "port": 8080}}
    made = deployment(namespace, name, image, ["/tiny", "serve", ":8080"], ready=ready, labels=labels)
    pod = made["spec"]["template"]["spec"]
    pod["securityContext"] = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod["containers"][0] |= {"securityContext": confined, "resources": {"requests": {"cpu": "10m"}}}
    return [made, service(namespace, name, {"http": (80, 8080)})]
