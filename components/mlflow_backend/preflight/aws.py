"""The AWS clients of preflight, made in one place. Every call has a deadline."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.preflight.account import Clients

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config
    from mypy_boto3_ecr import ECRClient

_CONNECT_S: Final = 5
_ANSWER_S: Final = 15
_ATTEMPTS: Final = 3


def ecr_client(region: str) -> ECRClient:
    """Return a client for ECR in `region`."""
    return _session().client("ecr", config=_config(region))


def ecr_password(region: str) -> str:
    """Return what a builder logs in to ECR with, as the user AWS. It is a secret, good for half a day."""
    token = ecr_client(region).get_authorization_token()["authorizationData"][0]["authorizationToken"]
    return base64.b64decode(token).decode().partition(":")[2]


def account_clients(region: str) -> Clients:
    """Return the clients by which an account is looked at."""
    session, config = _session(), _config(region)
    return Clients(
        sts=session.client("sts", config=config),
        secrets=session.client("secretsmanager", config=config),
        certificates=session.client("acm", config=config),
        iam=session.client("iam", config=config),
        network=session.client("ec2", config=config),
        names=session.client("route53", config=config),
    )


def rds_client(region: str) -> Any:
    """Return a client for RDS in `region`."""
    return _session().client("rds", config=_config(region))


def _session() -> Session:
    import boto3  # noqa: PLC0415 - as mlflow_backend.aws.clients

    return boto3.session.Session()


def _config(region: str) -> Config:
    from botocore.config import Config  # noqa: PLC0415

    return Config(
        region_name=region,
        connect_timeout=_CONNECT_S,
        read_timeout=_ANSWER_S,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
