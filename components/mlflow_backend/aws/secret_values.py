"""Values that are kept in Secrets Manager, for whoever has to log in with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

    from mlflow_backend.aws.connection import Connection


def value(arn: str, name: str, connection: Connection) -> str:
    """Return one value that is in force: `name` is its key in the secret's JSON. Raises PlatformFailed."""
    answer = asked(client(connection).get_secret_value, SecretId=arn)
    if isinstance(answer, Unanswered):
        code = "secret-unreadable" if answer.connected else "secrets-manager-unreachable"
        raise PlatformFailed(answer.of("Secrets Manager"), code=code)
    try:
        stored: dict[str, str] = json.loads(answer["SecretString"])
        return stored[name]
    except (ValueError, KeyError, IndexError):
        raise PlatformFailed(f"it is no JSON document with the key {name}", code="secret-malformed") from None


def read(connection: Connection, name: str) -> tuple[str, str]:
    """Return the value of ARN#KEY, or an empty text, and why it is empty. The secret's own region is asked."""
    arn, _, key = name.partition("#")
    region = next(iter(arn.split(":")[3:4]), connection.region)
    try:
        return value(arn, key, connection.elsewhere(region)), "it is empty"
    except PlatformFailed as error:
        return "", str(error)


def client(connection: Connection) -> SecretsManagerClient:
    """Return the client of a connection."""
    found: SecretsManagerClient = connection.client("secretsmanager")
    return found
