"""Logins that AWS keeps, copied into Secrets of the cluster, from which pods take them: never in Pulumi's state.

A copy says in an annotation of which version it is. RDS draws its administrator's password anew by itself (Amazon RDS
user guide, 'Password management with Secrets Manager'), so that copy is made again before it is used.
"""

from __future__ import annotations

import base64
import json
import secrets as random
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from mlflow_backend.aws import secret_values
from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.kubernetes.api import Api
from mlflow_backend.kubernetes.kubeconfig import ClusterGone
from mlflow_backend.locator import from_document

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.eks.locator import EksLocator

INPUTS: Final = ("locator", "secret", "labels", "source", "given", "drawn")
REPLACING: Final = ("secret",)
KEYS: Final = ("password", "url", "username")
"""Keys of a secret's JSON that are copied, each if it is there."""
VERSION: Final = "mlflow-backend/version"
_INSTANCE: Final = "app.kubernetes.io/instance"
_BYTES: Final = 32
_TRIES: Final = 5


def identifier(props: Mapping[str, Any]) -> str:
    """Return the resource's id."""
    return str(props["secret"])


def ensure(props: Mapping[str, Any]) -> dict[str, Any]:
    """Make the copy, or bring it up to date, and return the resource's outputs. Raises PlatformFailed.

    `source` is the ARN of a secret whose JSON has the login, left out there is none; `given` are plain values, such as
    a host, and `drawn` keys whose values are generated once, here.
    """
    located = _located(props)
    version, values = _values(located, props)
    for _ in range(_TRIES):
        api = _api(located)
        found = api.get("Secret", props["secret"])
        if found is not None and _label(found) != props["labels"][_INSTANCE]:
            raise PlatformFailed(
                f"There is a Secret {props['secret']} that is not of this backend",
                code="login-secret-of-another",
                fix="Rename it, or choose another kubernetes.namespace",
                part=located.namespace,
            )
        kept = (found or {}).get("data") or {}
        drawn = {key: kept.get(key) or _encoded(random.token_hex(_BYTES)) for key in props["drawn"]}
        whole = {**{key: _encoded(text) for key, text in values.items()}, **drawn}
        if found is not None and kept == whole and _version(found) == version:
            return _outputs(props, version)
        if _written(api, props, found, whole, version):
            return _outputs(props, version)
    raise PlatformFailed(
        f"The Secret {props['secret']} was changed by somebody else each time",
        code="login-secret-contended",
        fix="Repeat",
        part=located.namespace,
    )


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Tell whether something else is asked for, AWS has another version, or the copy is gone."""
    if any(olds.get(key) != news.get(key) for key in INPUTS):
        return True
    found = current(news)
    return found is None or found["version"] != _values(_located(news), news)[0]


def current(props: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the resource's outputs as the copy is now; None if it is gone."""
    try:
        found = _api(_located(props)).get("Secret", props["secret"])
    except ClusterGone:
        return None
    return None if found is None else _outputs(props, _version(found))


def delete(props: Mapping[str, Any]) -> None:
    """Delete the copy."""
    with suppress(ClusterGone):
        _api(_located(props)).delete("Secret", props["secret"])


def renew_administrator(located: EksLocator) -> None:
    """Bring the copy of the administrator's login of an instance of RDS up to date. Raises PlatformFailed."""
    answer = asked(located.aws.client("rds").describe_db_instances, DBInstanceIdentifier=located.database)
    if isinstance(answer, Unanswered):
        raise PlatformFailed(
            f"{answer.of('Amazon RDS')} for the instance {located.database}",
            code="rds-not-answered",
            fix="Log in to AWS, or give the deployer rds:DescribeDBInstances, and repeat",
            part="database",
        )
    (instance,) = answer["DBInstances"]
    ensure({
        "locator": located.document(),
        "secret": located.administrator,
        "labels": located.naming.labels("database"),
        "source": instance["MasterUserSecret"]["SecretArn"],
        "given": {},
        "drawn": [],
    })  # fmt: skip


def _values(located: EksLocator, props: Mapping[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the version in Secrets Manager, and what is copied. Raises PlatformFailed."""
    given = {key: str(value) for key, value in props["given"].items()}
    if not props.get("source"):
        return json.dumps(given, sort_keys=True), given
    answer = asked(secret_values.client(located.aws).get_secret_value, SecretId=props["source"])
    if isinstance(answer, Unanswered):
        raise PlatformFailed(
            f"{answer.of('Secrets Manager')} for the secret {props['source']}",
            code="login-not-answered",
            fix="Log in to AWS, or give the deployer secretsmanager:GetSecretValue for it, and repeat",
        )
    try:
        stored = json.loads(answer["SecretString"])
        login = {key: str(stored[key]) for key in KEYS if key in stored}
    except (KeyError, TypeError, ValueError):
        login = {}
    if not login:
        raise PlatformFailed(
            f"The secret {props['source']} is no JSON document with one of {', '.join(KEYS)}",
            code="login-malformed",
            fix="Write it as docs/targets/eks.md says",
        )
    return f"{answer['VersionId']} {json.dumps(given, sort_keys=True)}", {**given, **login}


def _written(
    api: Api, props: Mapping[str, Any], found: Mapping[str, Any] | None, whole: Mapping[str, str], version: str
) -> bool:
    metadata = {
        "name": props["secret"],
        "namespace": api.namespace,
        "labels": dict(props["labels"]),
        "annotations": {VERSION: version},
    }
    document = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": dict(whole)}
    if found is None:
        return api.create("Secret", document)
    metadata["resourceVersion"] = found["metadata"]["resourceVersion"]
    return api.replace("Secret", document)


def _located(props: Mapping[str, Any]) -> EksLocator:
    return cast("EksLocator", from_document(props["locator"]))


def _api(located: EksLocator) -> Api:
    return Api(connection=located.connection, namespace=located.namespace)


def _label(found: Mapping[str, Any]) -> str:
    return str((found["metadata"].get("labels") or {}).get(_INSTANCE, ""))


def _version(found: Mapping[str, Any]) -> str:
    return str((found["metadata"].get("annotations") or {}).get(VERSION, ""))


def _outputs(props: Mapping[str, Any], version: str) -> dict[str, Any]:
    return {**{key: props[key] for key in INPUTS if key in props}, "version": version}


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
