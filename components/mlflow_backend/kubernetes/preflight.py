"""Preflight of a backend's cluster: for each preview and update, and for `doctor`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import BackendError, Refused, sentence
from mlflow_backend.findings import Outcome, failed, failed_by, failures, passed, skipped, table
from mlflow_backend.kubernetes import published, rendered, room
from mlflow_backend.kubernetes.render import monitoring, secrets
from mlflow_backend.kubernetes.render.scheduled import scheduled

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from mlflow_backend.findings import Finding
    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.settings import Settings

OLDEST: Final = (1, 34)
"""The oldest minor release that the Kubernetes project supports (docs/targets/kubernetes.md names the day)."""
_VERSION: Final = re.compile(r"v(\d+)\.(\d+)\.")
_ENFORCED: Final = "pod-security.kubernetes.io/enforce"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"
_OBJECT_VERBS: Final = ("get", "create", "patch", "delete")
# What an update, a rollback and a verification do, by the API's own names.
_NEEDED: Final[tuple[tuple[str, str, str], ...]] = (
    *((verb, "secrets", "") for verb in ("get", "create", "update", "delete")),
    *(
        (verb, resource, "")
        for resource in ("configmaps", "podtemplates", "serviceaccounts", "services")
        for verb in ("get", "create", "patch", "delete")
    ),
    *((verb, "deployments", "apps") for verb in ("get", "create", "patch", "delete")),
    ("patch", "deployments/scale", "apps"),
    *((verb, "statefulsets", "apps") for verb in ("get", "create", "patch", "delete")),
    *((verb, "replicasets", "apps") for verb in ("list", "delete")),
    *((verb, "horizontalpodautoscalers", "autoscaling") for verb in ("get", "create", "patch", "delete")),
    *((verb, "poddisruptionbudgets", "policy") for verb in ("get", "create", "patch", "delete")),
    *(
        (verb, resource, "networking.k8s.io")
        for resource in ("networkpolicies", "ingresses")
        for verb in ("get", "create", "patch", "delete")
    ),
    *((verb, "jobs", "batch") for verb in ("get", "list", "create", "delete")),
    # `make status` says how scheduled work goes.
    ("get", "cronjobs", "batch"),
    ("list", "pods", ""),
    ("get", "pods/log", ""),
    ("list", "events", ""),
)


def refuse(found: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return what was found. Raises Refused with all that is missing; what could not be looked at is no reason."""
    if failures(found):
        raise Refused(
            "The cluster is not ready for this backend:\n" + "\n".join(table(failures(found))),
            code="kubernetes-preflight-failed",
        )
    return found


def check(settings: Settings, api: Api, naming: Naming, *, made: Collection[str] = ()) -> tuple[Finding, ...]:
    """Return what each check found. Without an answer of the API server there is nothing more to look at.

    `made` names checks of what the update itself makes, such as `namespace` and `storage_class`.
    """
    try:
        first = _version(api)
    except BackendError as error:
        return (failed_by("api server", "kubernetes.context", error),)
    asked = [check for check in _CHECKS if check.__name__.strip("_") not in made]
    return (
        first,
        *(finding for check in asked for finding in _findings(check, settings, api)),
        *published.look(settings, naming, api),
    )


def monitors(findings: Collection[Finding]) -> tuple[str, ...]:
    """Return the kinds of monitoring's documents that the cluster takes, by what was found."""
    found = {each.check for each in findings if each.outcome is Outcome.PASS}
    return tuple(kind for kind in monitoring.KINDS if kind in found)


def _findings(check: Callable[[Settings, Api], Iterator[Finding]], settings: Settings, api: Api) -> Sequence[Finding]:
    """Make a check; one that the deployer may not make is shown as skipped."""
    try:
        return tuple(check(settings, api))
    except BackendError as error:
        return (skipped(check.__name__.strip("_").replace("_", " "), "kubernetes", sentence(error.finding)),)


def _version(api: Api) -> Finding:
    version = str((api.at("version") or {}).get("gitVersion", ""))
    match = _VERSION.match(version)
    if match is None or (int(match[1]), int(match[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return failed(
            "api server", "kubernetes.context", f"it runs {version or 'no known version'}.", f"{oldest} is the oldest."
        )
    return passed("api server", "kubernetes.context", f"it runs {version}.")


def _namespace(_settings: Settings, api: Api) -> Iterator[Finding]:
    """The namespace exists; its pod security level fits whatever it is, because all pods are restricted."""
    found = api.at(f"api/v1/namespaces/{api.namespace}")
    if found is None:
        yield failed(
            "namespace",
            "kubernetes.namespace",
            f"{api.namespace} does not exist.",
            "Make it:",
            f"kubectl --context {api.connection.context} create namespace {api.namespace}",
        )
        return
    level = (found["metadata"].get("labels") or {}).get(_ENFORCED, "privileged")
    yield passed("namespace", "kubernetes.namespace", f"{api.namespace} exists; its pod security level is {level}.")


def _permissions(settings: Settings, api: Api) -> Iterator[Finding]:
    """The deployer may do everything that an update and a rollback do."""
    watched = [(verb, name, monitoring.GROUP) for name in _operated(settings, api) for verb in _OBJECT_VERBS]
    repeated = [(verb, "cronjobs", "batch") for verb in ("create", "patch", "delete") if scheduled(settings)]
    needed = (*_NEEDED, *repeated, *watched)
    refused = [f"{verb} {name}" for verb, name, group in needed if not api.may(verb, name, group=group)]
    if refused:
        yield failed(
            "permissions",
            "kubernetes.context",
            f"in the namespace {api.namespace} the deployer may not {', '.join(refused)}.",
            "Grant it (docs/targets/kubernetes.md, 'Permissions').",
        )
    else:
        yield passed("permissions", "kubernetes.context", f"the deployer may do all of {len(needed)} actions.")


def _secrets(settings: Settings, api: Api) -> Iterator[Finding]:
    """Secrets of others are there, with their keys."""
    for name, names in {**secrets.given(settings), **secrets.of_backups(settings)}.items():
        present = (api.get("Secret", name) or {}).get("data") or {}
        missing = [key for key in names if key not in present]
        if missing:
            literals = " ".join(f"--from-literal={key}=..." for key in names)
            yield failed(
                "secret",
                "kubernetes",
                f"{name} is not there, or lacks {', '.join(missing)}.",
                "Make it:",
                f"kubectl --context {api.connection.context} --namespace {api.namespace} create secret generic {name} "
                f"{literals}",
            )
        else:
            yield passed("secret", "kubernetes", f"{name} has {', '.join(names)}.")


def _quota(settings: Settings, api: Api) -> Iterator[Finding]:
    """The namespace can hold the backend, with one server more and a Job during an update."""
    quotas, ranges = api.list("ResourceQuota"), api.list("LimitRange")
    key, found = "kubernetes.namespace", list(room.lacking(quotas, ranges, rendered.at_once(settings)))
    if found:
        yield failed(
            "quota",
            key,
            f"{'; '.join(found)}.",
            "Raise it, or ask for less: server.cpu, server.memory, server.replicas, kubernetes.server.",
        )
    else:
        yield passed("quota", key, f"{len(quotas)} quotas and {len(ranges)} limit ranges can hold the backend.")


def _storage_class(settings: Settings, api: Api) -> Iterator[Finding]:
    """A created database gets a volume."""
    if settings.database.mode != "create":
        return
    key, wanted = "kubernetes.database.storageClass", settings.kubernetes.database.storage_class
    found = _named(api, "apis/storage.k8s.io/v1/storageclasses")
    if wanted is None:
        default = next((name for name, each in found.items() if _annotation(each, _DEFAULT_CLASS) == "true"), None)
        yield (
            passed("storage class", key, f"{default} is the default one.")
            if default
            else failed("storage class", key, "the cluster has no default one.", f"Name one of {', '.join(found)}.")
        )
    elif wanted in found:
        yield passed("storage class", key, f"{wanted} is there.")
    else:
        yield failed("storage class", key, f"{wanted} is not there.", f"Name one of {', '.join(found) or 'yours'}.")


def _ingress_class(settings: Settings, api: Api) -> Iterator[Finding]:
    """Somebody serves the Ingress."""
    wanted = settings.kubernetes.ingress.class_name
    if settings.network.public_url is None or wanted is None:
        return
    found = _named(api, "apis/networking.k8s.io/v1/ingressclasses")
    key = "kubernetes.ingress.className"
    if wanted in found:
        yield passed("ingress class", key, f"{wanted} is there.")
    else:
        yield failed("ingress class", key, f"{wanted} is not there.", f"Name one of {', '.join(found) or 'yours'}.")


def _architecture(settings: Settings, api: Api) -> Iterator[Finding]:
    """A node can run the image."""
    wanted = settings.kubernetes.architecture
    nodes = _named(api, "api/v1/nodes").values()
    seen = {(each["metadata"].get("labels") or {}).get("kubernetes.io/arch", "unknown") for each in nodes}
    if wanted in seen:
        yield passed("architecture", "kubernetes.architecture", f"the cluster has nodes of {wanted}.")
    else:
        yield failed(
            "architecture",
            "kubernetes.architecture",
            f"no node is of {wanted}, but of {', '.join(sorted(seen)) or 'none'}.",
            "Set it to the nodes' own, with an image for it.",
        )


def _monitoring(settings: Settings, api: Api) -> Iterator[Finding]:
    """The Prometheus Operator is there, if Prometheus is to ask; without it, Prometheus needs a scrape job."""
    if (namespace := settings.kubernetes.monitoring.namespace) is None:
        return
    key, there = "kubernetes.monitoring.namespace", _operated(settings, api)
    for kind, name in monitoring.KINDS.items():
        if name in there:
            yield passed(kind, key, f"the cluster takes it, for Prometheus in {namespace}.")
        else:
            yield skipped(
                kind,
                key,
                f"the cluster does not know it, so none is made for Prometheus in {namespace}.",
                "Install the Prometheus Operator, or give Prometheus a scrape job and the rules, and Grafana the "
                "dashboard, which is not made without the operator (docs/runbooks/monitoring.md).",
            )


def _operated(settings: Settings, api: Api) -> list[str]:
    """Return the resources of the Prometheus Operator that the cluster has and this backend would use."""
    if settings.kubernetes.monitoring.namespace is None:
        return []
    found = api.at(f"apis/{monitoring.GROUP}/{monitoring.VERSION}") or {}
    known = {each["name"] for each in found.get("resources") or []}
    return [name for name in monitoring.KINDS.values() if name in known]


def _named(api: Api, path: str) -> dict[str, dict[str, Any]]:
    items = (api.at(path) or {}).get("items") or []
    return {str(each["metadata"]["name"]): each for each in items}


def _annotation(found: dict[str, Any], name: str) -> str:
    return str((found["metadata"].get("annotations") or {}).get(name, ""))


_CHECKS: Final = (
    _namespace,
    _permissions,
    _secrets,
    _quota,
    _storage_class,
    _ingress_class,
    _architecture,
    _monitoring,
)
