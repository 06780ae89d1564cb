"""The AWS clients by which an account is looked at."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from mlflow_backend.preflight.account import Clients

if TYPE_CHECKING:
    from mlflow_backend.aws.connection import Connection


def ecr_password(connection: Connection) -> str:
    """Return what a builder logs in to ECR with, as the user AWS. It is a secret, good for half a day."""
    token = connection.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().partition(":")[2]


def account_clients(connection: Connection) -> Clients:
    """Return the clients of an account."""
    return Clients(
        sts=connection.client("sts"),
        secrets=connection.client("secretsmanager"),
        certificates=connection.client("acm"),
        iam=connection.client("iam"),
        network=connection.client("ec2"),
        names=connection.client("route53"),
    )
