"""The server's secret in Secrets Manager: generated there, never shown, and known to Pulumi by its version only.

Somebody who rotates a password puts a new version of this secret (docs/targets/ecs.md); the next update sees it, moves
a staging label of its own there, gives the database's role the new password, and starts new tasks. All tasks read by
that label: a task that starts before the update still gets the old password; after it, every revision gets the new one.
"""

from __future__ import annotations

import json
import secrets as random
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import new_keys
from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render.secrets import IN_FORCE
from mlflow_backend.aws.secret_values import client
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.pace import Pace
from mlflow_backend.server import keys
from mlflow_backend.server.access import secret_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_secretsmanager import SecretsManagerClient

_INPUTS: Final = ("connection", "secret", "keyArn", "names", "recoveryDays", "tags")
_REPLACING: Final = ("secret", "keyArn")
_CURRENT: Final = "AWSCURRENT"
# 256 bits. Hexadecimal: every service and every URL takes it as it is.
_BYTES: Final = 32
# Not drawn: a user has a name.
_GIVEN: Final = {"admin-user": "admin"}


# As long as the AWS provider waits for a name of a secret that is being deleted (its secretsmanager/secret.go).
_DELETION_S: Final = 120.0
_PACE: Final = Pace(poll_s=5.0)


def token() -> str:
    """Return a new random value."""
    return random.token_hex(_BYTES)


def create(props: Mapping[str, Any]) -> dict[str, Any]:
    """Make the secret with a value for each name, and return the resource's outputs. Raises PlatformFailed."""
    answer = make(props, json.dumps({name: _value(name) for name in props["names"]}))
    take_over(answer["ARN"], Connection.at(props["connection"]), answer["VersionId"])
    return _outputs(props, answer["ARN"], answer["VersionId"])


def make(props: Mapping[str, Any], content: str, *, pace: Pace = _PACE) -> Mapping[str, str]:
    """Make a secret that holds `content`, and return AWS's answer. Raises PlatformFailed, without the content."""
    manager = _client(props)
    ends = pace.clock() + _DELETION_S
    try:
        while True:
            try:
                answer = manager.create_secret(
                    Name=props["secret"],
                    KmsKeyId=props["keyArn"],
                    SecretString=content,
                    Tags=[{"Key": key, "Value": value} for key, value in sorted(props["tags"].items())],
                )
                break
            except manager.exceptions.InvalidRequestException:
                # A forced deletion is asynchronous: a backend that is made anew at once meets its last moments.
                if pace.clock() >= ends:
                    raise
                pace.pause(pace.poll_s)
    except manager.exceptions.ResourceExistsException:
        raise PlatformFailed(
            f"There is a secret {props['secret']} already. If it is of this stack, bring it into the state with "
            "`pulumi import`; otherwise delete it.",
            code="secret-exists",
        ) from None
    except manager.exceptions.InvalidRequestException:
        raise PlatformFailed(
            f"The secret {props['secret']} of an earlier backend is being deleted. Wait for that to end, or delete it "
            "at once: aws secretsmanager delete-secret --force-delete-without-recovery.",
            code="secret-being-deleted",
        ) from None
    return {"ARN": answer["ARN"], "VersionId": answer["VersionId"]}


def update(arn: str, props: Mapping[str, Any]) -> dict[str, Any]:
    """Take over the version that is there, with a value for each name that has none. Return the resource's outputs.

    Encryption keys that were in force stay in it, or among the former ones: without them data could not be read.
    Raises PlatformFailed for a version that no server could start with: the one before stays in force.
    """
    manager = _client(props)
    answer = manager.get_secret_value(SecretId=arn, VersionStage=_CURRENT)
    stored = _stored(answer.get("SecretString"), props)
    drawn = {name: _value(name) for name in props["names"] if name not in stored}
    whole = {
        **stored,
        **drawn,
        **keys.succeeding(in_force(arn, Connection.at(props["connection"])), stored, new_keys.draw()),
    }
    version = answer["VersionId"]
    if whole != stored:
        version = manager.put_secret_value(SecretId=arn, SecretString=json.dumps(whole))["VersionId"]
    take_over(arn, Connection.at(props["connection"]), version)
    manager.tag_resource(
        SecretId=arn, Tags=[{"Key": key, "Value": value} for key, value in sorted(props["tags"].items())]
    )
    return _outputs(props, arn, version)


def rotate_keys(connection: Connection, name: str) -> None:
    """Put a version with new encryption keys, unless one waits already; the next update takes it over.

    Raises PlatformFailed for a secret that is not there, or holds no keys yet.
    """
    try:
        answer = asked(_rotate, connection, name)
    except ValueError:
        raise PlatformFailed(f"The secret {name} holds no encryption keys yet.", code="no-encryption-keys") from None
    if isinstance(answer, Unanswered):
        raise PlatformFailed(f"{answer.of('Secrets Manager')} for the secret {name}.", code="secret-not-answered")


def _rotate(connection: Connection, name: str) -> None:
    manager = client(connection)
    stored: dict[str, str] = json.loads(manager.get_secret_value(SecretId=name, VersionStage=_CURRENT)["SecretString"])
    before = in_force(name, connection)
    if all(before.get(key) == stored.get(key) for key in keys.IN_FORCE):
        rotated = {**stored, **keys.rotated(stored, new_keys.draw())}
        manager.put_secret_value(SecretId=name, SecretString=json.dumps(rotated))


def current(arn: str, props: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the resource's outputs as the secret is now; None when it is gone or being deleted."""
    version = staged(arn, Connection.at(props["connection"])).get(_CURRENT)
    return None if version is None else {**props, "arn": arn, "version": version}


def changed(arn: str, olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether something else is asked for, or there is another version than the one that was taken over."""
    if any(olds.get(key) != news.get(key) for key in _INPUTS):
        return True
    versions = staged(arn, Connection.at(news["connection"]))
    return {versions.get(_CURRENT), versions.get(IN_FORCE)} != {olds.get("version")}


def replacing(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Return the inputs that only another secret can have."""
    moved = olds.get("connection", {}).get("region") != news["connection"]["region"]
    return [*(["connection"] if moved else []), *(key for key in _REPLACING if olds.get(key) != news.get(key))]


def delete(arn: str, props: Mapping[str, Any]) -> None:
    """Delete the secret."""
    days = int(props["recoveryDays"])
    how: dict[str, Any] = {"RecoveryWindowInDays": days} if days else {"ForceDeleteWithoutRecovery": True}
    _client(props).delete_secret(SecretId=arn, **how)


def _client(props: Mapping[str, Any]) -> SecretsManagerClient:
    return client(Connection.at(props["connection"]))


def in_force(arn: str, connection: Connection) -> dict[str, str]:
    """Return the values that tasks read until now; none of a secret that no update has taken over yet."""
    manager = client(connection)
    if IN_FORCE not in staged(arn, connection):
        return {}
    answer = manager.get_secret_value(SecretId=arn, VersionStage=IN_FORCE)
    found: dict[str, str] = json.loads(answer["SecretString"])
    return found


def take_over(arn: str, connection: Connection, version: str) -> None:
    """Let tasks that start from now on read this version."""
    before = staged(arn, connection).get(IN_FORCE)
    if before != version:
        move = {"MoveToVersionId": version, **({"RemoveFromVersionId": before} if before else {})}
        client(connection).update_secret_version_stage(SecretId=arn, VersionStage=IN_FORCE, **move)


def staged(arn: str, connection: Connection) -> dict[str, str]:
    """Return the version that each staging label names; nothing of a secret that is gone or being deleted."""
    manager = client(connection)
    try:
        found = manager.describe_secret(SecretId=arn)
    except manager.exceptions.ResourceNotFoundException:
        return {}
    if found.get("DeletedDate"):
        return {}
    return {stage: version for version, stages in found.get("VersionIdsToStages", {}).items() for stage in stages}


def _stored(text: str | None, props: Mapping[str, Any]) -> dict[str, str]:
    try:
        stored = json.loads(text or "")
    except ValueError:
        stored = None
    if isinstance(stored, dict):
        there = [name for name in props["names"] if name in stored]
        problems = [problem for name in there if (problem := secret_problem(name, stored[name]))]
        if not problems:
            return stored
        finding = "; ".join(problems)
    else:
        finding = f"it is no JSON object with the keys {', '.join(props['names'])}"
    raise PlatformFailed(
        f"The newest version of the secret {props['secret']} is not taken over: {finding}. The one before stays in "
        "force. Put a whole one with `aws secretsmanager put-secret-value`, and update again.",
        code="secret-not-taken-over",
    )


def _value(name: str) -> str:
    if name in keys.NAMES:
        return new_keys.draw()[name]
    return _GIVEN[name] if name in _GIVEN else token()


def _outputs(props: Mapping[str, Any], arn: str, version: str) -> dict[str, Any]:
    return {**{key: props[key] for key in _INPUTS}, "arn": arn, "version": version}
