"""Logins in namespaces of clients: a user of the settings, as a Secret with the variables that MLflow's clients read.

No value is in Pulumi's state. Where a password is changed shows in no input, so each update reads it and compares, as
that of the users does (ADR 50); a preview reads none, because whoever previews may have none.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.dynamic import UPDATE_ID, asked_again
from mlflow_backend.kubernetes.kubeconfig import ClusterGone
from mlflow_backend.kubernetes.secrets import api_of, is_anothers, keep
from mlflow_backend.locator import from_document

if TYPE_CHECKING:
    from collections.abc import Mapping

INPUTS: Final = ("locator", "namespace", "secret", "labels", "user", "password")
REPLACING: Final = ("namespace", "secret")


def identifier(props: Mapping[str, Any]) -> str:
    """Return the resource's id."""
    return f"{props['namespace']}/{props['secret']}"


def ensure(props: Mapping[str, Any]) -> dict[str, Any]:
    """Let the Secret hold the user's name and password of now, and return the resource's outputs.

    Raises Refused for a password that is not had or that MLflow would not take, PlatformFailed for a Secret of somebody
    else's.
    """
    login = _login(props)
    keep(api_of(props), props, lambda _present: login)
    return _outputs(props)


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Tell whether something else is asked for, or an update has to compare."""
    return any(olds.get(key) != news.get(key) for key in INPUTS) or asked_again(olds, news)


def current(props: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the resource's outputs; None if the Secret is gone."""
    with suppress(ClusterGone):
        if api_of(props).get("Secret", props["secret"]) is not None:
            return _outputs(props)
    return None


def delete(props: Mapping[str, Any]) -> None:
    """Delete the Secret, unless it is somebody else's by now."""
    with suppress(ClusterGone):
        api = api_of(props)
        found = api.get("Secret", props["secret"])
        if found is not None and not is_anothers(found, props["labels"]):
            api.delete("Secret", props["secret"])


def _login(props: Mapping[str, Any]) -> dict[str, str]:
    # A refresh and a destroy read no password.
    from mlflow_backend.releases.targets import open_releases  # noqa: PLC0415
    from mlflow_backend.users.passwords import password_of  # noqa: PLC0415

    readers = open_releases(from_document(props["locator"])).platform.secrets()
    return {
        "MLFLOW_TRACKING_USERNAME": props["user"],
        "MLFLOW_TRACKING_PASSWORD": password_of(props["user"], props["password"], readers),
    }


def _outputs(props: Mapping[str, Any]) -> dict[str, Any]:
    return {key: props.get(key, "") for key in (*INPUTS, UPDATE_ID)}
