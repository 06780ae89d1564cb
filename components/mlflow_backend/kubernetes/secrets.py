"""The server's Secret: generated there, never shown, and known to Pulumi by its version only.

Somebody who changes a value in it changes its version; the next update gives the database's role the new password and
starts new pods. New encryption keys wait in it under a key of their own until an update puts them in force: a pod that
is started between the two must write with the keys that its neighbours have.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets as random
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from mlflow_backend import new_keys
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.kubernetes import unavailable
from mlflow_backend.kubernetes.api import Api
from mlflow_backend.kubernetes.ending import deployment_ends, pods_ended
from mlflow_backend.kubernetes.kubeconfig import ClusterGone
from mlflow_backend.kubernetes.render.secrets import CA, CACHE_PASSWORD, CACHE_URL, CERTIFICATE, KEY
from mlflow_backend.locator import from_document
from mlflow_backend.server import SecretTemplate, keys, secret_problem

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.kubernetes.locator import KubernetesLocator

WAITING: Final = "waiting-keys"
"""Keys of a rotation that no update has put in force yet."""
INPUTS: Final = (
    "locator", "namespace", "secret", "names", "given", "hosts", "cacheUrl", "labels", "owned", "kept",
)  # fmt: skip
REPLACING: Final = ("namespace", "secret", "owned")
_GIVEN: Final = {"admin-user": "admin"}
_CERTIFICATE: Final = frozenset({CA, CERTIFICATE, KEY})
_OWNER: Final = ("app.kubernetes.io/instance", "mlflow-backend/project", "mlflow-backend/stack")
"""Labels of whose Secret it is: two projects may call their stacks alike, and so their objects."""
_VERSION_LENGTH: Final = 16
_TRIES: Final = 5


def api_of(props: Mapping[str, Any]) -> Api:
    """Return the API of the namespace that a resource's inputs name."""
    located = cast("KubernetesLocator", from_document(props["locator"]))
    return Api(connection=located.connection, namespace=props["namespace"])


def identifier(props: Mapping[str, Any]) -> str:
    """Return the resource's id."""
    return f"{props['namespace']}/{props['secret']}"


def ensure(props: Mapping[str, Any]) -> dict[str, Any]:
    """Make what is missing of the Secret, put waiting keys in force, and return the resource's outputs.

    Raises PlatformFailed for a Secret of somebody else's, and for a value that no server could start with.
    """
    api = api_of(props)
    if not props["owned"]:
        present = values(api, props["secret"])
        _refuse_missing(props, present)
        return _outputs(api, props, present)
    return _outputs(api, props, keep(api, props, partial(_whole, props)))


def keep(
    api: Api, props: Mapping[str, Any], whole_of: Callable[[Mapping[str, str]], Mapping[str, str]]
) -> Mapping[str, str]:
    """Let the Secret that a resource's inputs name hold what `whole_of` makes of its values, and return that.

    Raises PlatformFailed for a Secret of somebody else's, and for one that somebody else goes on changing.
    """
    for _ in range(_TRIES):
        found = api.get("Secret", props["secret"])
        if found is not None and is_anothers(found, props["labels"]):
            raise PlatformFailed(
                f"There is a Secret {props['secret']} that is not of this backend",
                code="secret-of-another",
                fix="Delete it if nobody needs it, or choose another kubernetes.namespace; a Secret that is meant for "
                "the server is named by kubernetes.secret",
                part=props["namespace"],
            )
        present = _values(found)
        whole = whole_of(present)
        if whole == present or _written(api, props, found, whole):
            return whole
    raise PlatformFailed(
        f"The Secret {props['secret']} was changed by somebody else each time", code="secret-contended", fix="Repeat"
    )


def current(props: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the resource's outputs as the Secret is now; None if it is gone."""
    api = api_of(props)
    found = api.get("Secret", props["secret"])
    return None if found is None else _outputs(api, props, _values(found))


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Tell whether something else is asked for, or the Secret is not as the last update left it."""
    if any(olds.get(key) != news.get(key) for key in INPUTS):
        return True
    found = current(news)
    return found is None or found["version"] != olds.get("version") or found["waiting"]


def delete(props: Mapping[str, Any]) -> None:
    """Delete the Secret, unless it is somebody else's, or opens data that outlive the stack.

    The pods of a Deployment that is deleted end first, and nothing else in the namespace before them: a namespace that
    is deleted meanwhile is looked at again only after half of their grace period, which is minutes (Kubernetes'
    namespace controller).
    """
    # Pods that do not end, because their node is lost, hold nothing up for longer, and so does an API that is away.
    with suppress(PlatformFailed):
        api, naming = api_of(props), cast("KubernetesLocator", from_document(props["locator"])).naming
        if deployment_ends(api, naming):
            unavailable.end(api, naming, api.pace)
            pods_ended(api, naming, api.pace)
    if props["owned"] and not props["kept"]:
        with suppress(ClusterGone):
            api_of(props).delete("Secret", props["secret"])


def refuse_anothers(api: Api, name: str, labels: Mapping[str, str]) -> None:
    """Raise Refused for a Secret of another backend, before an update changes any object that both call alike."""
    found = api.get("Secret", name)
    if found is not None and is_anothers(found, labels):
        stack, project = (_labels(found).get(each, "nobody") for each in reversed(_OWNER[1:]))
        raise Refused(
            f"The namespace {api.namespace} has a backend that is called alike, of the stack {stack} of {project}.",
            code="kubernetes-backend-of-another",
            fix="Choose another kubernetes.namespace, or another name for the stack.",
        )


def is_anothers(found: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Tell whether a Secret is not of the backend whose objects have these labels."""
    return any(_labels(found).get(each) != labels[each] for each in _OWNER)


def rotate(api: Api, name: str) -> None:
    """Let new encryption keys wait in the Secret, unless some wait already. Raises Refused."""

    def waiting(present: Mapping[str, str]) -> dict[str, str]:
        try:
            return {WAITING: json.dumps(keys.rotated(present, new_keys.draw())), **present}
        except ValueError as error:
            raise Refused(
                f"The Secret {name} holds no encryption keys: {error}.",
                code="kubernetes-keys-not-rotated",
                fix="Deploy the stack with `pulumi up`, and repeat.",
            ) from None

    rewrite(api, name, waiting)


def rewrite(api: Api, name: str, rewritten: Callable[[Mapping[str, str]], Mapping[str, str]]) -> None:
    """Replace what a Secret holds by what `rewritten` makes of it. Raises Refused if somebody else changes it too."""
    for _ in range(_TRIES):
        found = api.get("Secret", name)
        whole = rewritten(_values(found))
        if found is not None and api.replace("Secret", _document(found, whole)):
            return
    raise Refused(
        f"The Secret {name} was changed by somebody else each time.", code="kubernetes-keys-contended", fix="Repeat."
    )


def keep_beside(api: Api, name: str, beside: str, kept: Mapping[str, str]) -> None:
    """Make another Secret with the labels of the one called `name`; one that is there stays as it is."""
    found = api.get("Secret", name) or {"metadata": {}}
    metadata = {"name": beside, "namespace": api.namespace, "labels": dict(_labels(found))}
    api.create("Secret", _document({"metadata": metadata}, kept))


def read(api: Api, reference: str) -> tuple[str, str]:
    """Return the value that NAME#KEY names, or an empty text and what is wrong."""
    name, _, key = reference.partition("#")
    value = _values(api.get("Secret", name)).get(key, "")
    return value, "" if value else f"the Secret {name} has no {key}"


def values(api: Api, name: str) -> dict[str, str]:
    """Return what a Secret holds; nothing if it is not there."""
    return _values(api.get("Secret", name))


def _whole(props: Mapping[str, Any], present: Mapping[str, str]) -> dict[str, str]:
    """Return the values with all that was missing, and with waiting keys in force."""
    names = set(props["names"])
    whole = dict(present)
    drawn = new_keys.draw()
    for name in names - whole.keys() - _CERTIFICATE - {CACHE_URL}:
        whole[name] = drawn.get(name) or _GIVEN.get(name) or random.token_urlsafe(24)
    if waiting := whole.pop(WAITING, None):
        whole |= json.loads(waiting)
    if names >= _CERTIFICATE:
        # A rollback draws nothing, and would read cryptography for it.
        from mlflow_backend.kubernetes import certificate  # noqa: PLC0415

        if not certificate.serves(present, props["hosts"]):
            whole |= certificate.draw(props["hosts"])
    if CACHE_URL in names:
        whole[CACHE_URL] = SecretTemplate(text=props["cacheUrl"], encode=True).resolve(whole.__getitem__)
    _refuse_unusable(props, whole)
    return whole


def _refuse_missing(props: Mapping[str, Any], present: Mapping[str, str]) -> None:
    if missing := sorted(set(props["names"]) - present.keys()):
        raise PlatformFailed(
            f"The Secret {props['secret']} lacks {', '.join(missing)}",
            code="secret-incomplete",
            fix="Put them there, or leave kubernetes.secret out",
            part="kubernetes.secret",
        )
    _refuse_unusable(props, present)


def _refuse_unusable(props: Mapping[str, Any], present: Mapping[str, str]) -> None:
    texts = set(props["names"]) - _CERTIFICATE
    if problems := [problem for name in sorted(texts) if (problem := secret_problem(name, present.get(name)))]:
        raise PlatformFailed(
            f"The Secret {props['secret']} is not taken over: {'; '.join(problems)}",
            code="kubernetes-secret-unusable",
            fix="Correct it with `kubectl edit secret`, or delete the key to have it generated",
            part=props["namespace"],
        )


def _written(api: Api, props: Mapping[str, Any], found: Mapping[str, Any] | None, whole: Mapping[str, str]) -> bool:
    if found is not None:
        return api.replace("Secret", _document(found, whole))
    metadata = {"name": props["secret"], "namespace": props["namespace"], "labels": dict(props["labels"])}
    return api.create("Secret", _document({"metadata": metadata}, whole))


def _document(found: Mapping[str, Any], whole: Mapping[str, str]) -> dict[str, Any]:
    metadata = {key: value for key, value in found["metadata"].items() if key != "managedFields"}
    data = {name: base64.b64encode(value.encode()).decode() for name, value in whole.items()}
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}


def _values(found: Mapping[str, Any] | None) -> dict[str, str]:
    data = (found or {}).get("data") or {}
    try:
        return {name: base64.b64decode(value).decode() for name, value in data.items()}
    except (binascii.Error, UnicodeDecodeError):
        name = (found or {})["metadata"]["name"]
        raise PlatformFailed(f"The Secret {name} holds what is no text", code="secret-no-text", fix="Fix it") from None


def _labels(found: Mapping[str, Any]) -> Mapping[str, str]:
    return dict(found["metadata"].get("labels") or {})


def _outputs(api: Api, props: Mapping[str, Any], present: Mapping[str, str]) -> dict[str, Any]:
    given = {}
    for name, names in props["given"].items():
        found = values(api, name)
        if missing := sorted(set(names) - found.keys()):
            raise PlatformFailed(
                f"The Secret {name} lacks {', '.join(missing)}",
                code="given-secret-incomplete",
                fix="Put them there with `kubectl create secret generic`",
                part=props["namespace"],
            )
        given[name] = {key: found[key] for key in names}
    own = {name: present.get(name, "") for name in props["names"]}
    # Keyed by what nobody can guess: a digest over somebody's short password alone would tell it.
    salt = own["flask-secret-key"].encode()
    return {
        **{key: props[key] for key in INPUTS},
        "version": _digest(salt, {"own": own, "given": given}),
        "certificate": _digest(salt, own.get(CERTIFICATE, "")),
        "cache": _digest(salt, own.get(CACHE_PASSWORD, "")),
        "keys": _digest(salt, {name: own.get(name, "") for name in keys.IN_FORCE}),
        "waiting": WAITING in present,
    }


def _digest(salt: bytes, document: object) -> str:
    text = json.dumps(document, sort_keys=True).encode()
    return hmac.new(salt, text, hashlib.sha256).hexdigest()[:_VERSION_LENGTH]
