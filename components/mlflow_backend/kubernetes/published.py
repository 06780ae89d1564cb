"""Preflight of the namespaces of clients: each is there, and the deployer may write what it gets."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from mlflow_backend.findings import failed, passed
from mlflow_backend.kubernetes.api import Refusal
from mlflow_backend.kubernetes.naming import CLIENT
from mlflow_backend.kubernetes.secrets import is_anothers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.findings import Finding
    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.settings import Settings

_CHECK: Final = "clients"
_ADDRESS: Final = tuple((verb, "configmaps") for verb in ("get", "create", "patch", "delete"))
_LOGIN: Final = tuple((verb, "secrets") for verb in ("get", "create", "update", "delete"))


def look(settings: Settings, naming: Naming, api: Api) -> Iterator[Finding]:
    """Yield what was found of each namespace. Raises PlatformFailed if the API server does not answer."""
    wanted = settings.kubernetes.network
    for namespace in wanted.published_to:
        login = namespace in wanted.published_logins
        key = f"kubernetes.network.{f'publishedLogins.{namespace}' if login else 'publishedTo'}"
        needed = [*_ADDRESS, *(_LOGIN if login else ())]
        refused = [f"{verb} {name}" for verb, name in needed if not api.may(verb, name, namespace=namespace)]
        if not _is_there(api, namespace):
            yield failed(
                _CHECK,
                key,
                f"the namespace {namespace} does not exist.",
                "Make it, or take it out:",
                f"kubectl --context {api.connection.context} create namespace {namespace}",
            )
        elif refused:
            yield failed(
                _CHECK,
                key,
                f"in the namespace {namespace} the deployer may not {', '.join(refused)}.",
                "Grant it (docs/targets/kubernetes.md, 'Permissions').",
            )
        elif login and _is_anothers(api, naming, namespace):
            yield failed(
                _CHECK,
                key,
                f"the namespace {namespace} has a Secret {naming.published()} that is not of this backend.",
                "Rename that one, or take the login out.",
            )
        else:
            what = "the tracking URI and a login" if login else "the tracking URI"
            yield passed(_CHECK, key, f"{namespace} can get {what}.")


def _is_there(api: Api, namespace: str) -> bool:
    # Whoever may not look at namespaces may still be allowed to write in this one.
    with suppress(Refusal):
        return api.at(f"api/v1/namespaces/{namespace}") is not None
    return True


def _is_anothers(api: Api, naming: Naming, namespace: str) -> bool:
    found = api.get("Secret", naming.published(), namespace=namespace)
    return found is not None and is_anothers(found, naming.own_labels(CLIENT))
