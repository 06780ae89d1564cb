"""Common parts of a backend's pods: the restricted security profile, container, resources, volumes. Pure.

The profile is that of the Pod Security Standards, level restricted, with a read-only root file system on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.server import SecretTemplate

Document = dict[str, Any]

NO_WAIT: Final = {"pulumi.com/skipAwait": "true"}
"""The plugin's own wait knows no release and few reasons: the resources Stores and Rollout wait, and say why."""

# The image's own user (server/Dockerfile).
SERVER_UID: Final = 10001
_MILLI: Final = 1000
_CPU_UNITS: Final = 1024


@dataclass(frozen=True, kw_only=True)
class SecretKey:
    """One value in a Secret of the backend's namespace."""

    secret: str
    key: str


def cpu(units: int) -> str:
    """Return CPU units, 1024 a core, as Kubernetes spells them."""
    return f"{units * _MILLI // _CPU_UNITS}m"


def mib(size: int) -> str:
    """Return a size in MiB as Kubernetes spells it."""
    return f"{size}Mi"


def resources(*, cpu_request: int, memory_request: int, cpu_limit: int | None, memory_limit: int) -> Document:
    """Return what a container is given. Memory has a limit always, because a leak must not take the node's."""
    limits = {"memory": mib(memory_limit), **({"cpu": cpu(cpu_limit)} if cpu_limit is not None else {})}
    return {"requests": {"cpu": cpu(cpu_request), "memory": mib(memory_request)}, "limits": limits}


def literal(text: str) -> str:
    """Return text that Kubernetes takes as it stands: it expands `$(NAME)` in commands and variables."""
    return text.replace("$(", "$$(")


def environment(plain: Mapping[str, str], secret: Mapping[str, SecretKey]) -> list[Document]:
    """Return a container's environment. Raises ValueError for a name that is in both."""
    if twice := plain.keys() & secret.keys():
        raise ValueError(f"both plain and secret in an environment: {', '.join(sorted(twice))}")
    return [
        *({"name": name, "value": literal(value)} for name, value in sorted(plain.items())),
        *(
            {"name": name, "valueFrom": {"secretKeyRef": {"name": source.secret, "key": source.key}}}
            for name, source in sorted(secret.items())
        ),
    ]


def named_before(variable: str, source: SecretKey, variables: Iterable[Document]) -> list[Document]:
    """Return variables that may name one whose value is in a Secret; it has to stand before them."""
    meant, written = f"$({variable})", literal(f"$({variable})")
    return [
        *environment({}, {variable: source}),
        *({**each, "value": each["value"].replace(written, meant)} if "value" in each else each for each in variables),
    ]


def secret_keys(templates: Mapping[str, SecretTemplate], sources: Mapping[str, SecretKey]) -> dict[str, SecretKey]:
    """Return where each secret variable's value lies. Raises Refused for a template that no source has.

    `sources` are by the whole text of a template: Kubernetes gives values as they are stored.
    """
    if missing := sorted(name for name, template in templates.items() if template.text not in sources):
        raise Refused(
            f"The server's environment entries {', '.join(missing)} need what no Secret of this backend holds.",
            code="environment-not-in-secrets",
            fix="This is a gap of the target kubernetes, not of your settings; please report it.",
        )
    return {name: sources[template.text] for name, template in templates.items()}


def container(name: str, *, image: str, volumes: Mapping[str, str], read_only: Iterable[str] = ()) -> Document:
    """Return a container that may do nothing but what it is for. `volumes` are their mount paths by name."""
    return {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": volume, "mountPath": path, **({"readOnly": True} if volume in read_only else {})}
            for volume, path in sorted(volumes.items())
        ],
    }


def spec(
    containers: Sequence[Document], *, uid: int, account: str, volumes: Sequence[Document], grace_s: int
) -> Document:
    """Return a pod's spec: no token of the API, no variables of other Services, one user that is not root.

    A Service called `mlflow` would set MLFLOW_PORT to an address, which MLflow takes for its own option.
    """
    return {
        "automountServiceAccountToken": False,
        "serviceAccountName": account,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": uid,
            "runAsGroup": uid,
            "fsGroup": uid,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationGracePeriodSeconds": grace_s,
        "containers": list(containers),
        "volumes": list(volumes),
    }


def template(naming: Naming, component: str, pod: Document, annotations: Mapping[str, str]) -> Document:
    """Return a pod template."""
    return {
        "metadata": {"labels": naming.own_labels(component), "annotations": dict(sorted(annotations.items()))},
        "spec": pod,
    }


def scratch(name: str, size_mib: int) -> Document:
    """Return a volume that is gone with its pod, and that may not fill the node's disk."""
    return {"name": name, "emptyDir": {"sizeLimit": mib(size_mib)}}


def files(name: str, secret: str, keys: Iterable[str]) -> Document:
    """Return a volume with these keys of a Secret as files, for the pod's own user and nobody else."""
    items = [{"key": key, "path": key} for key in keys]
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o440, "items": items}}
