"""The AWS clients of this target, made by one function and passed in. Every call has a deadline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client

    from mlflow_backend.aws.connection import Connection

_CONNECT_S: Final = 5
_ANSWER_S: Final = 20
# Throttling is the answer of ECS to whoever lists a thousand revisions; boto3 waits and asks again.
_ATTEMPTS: Final = 6


@dataclass(frozen=True, kw_only=True)
class Clients:
    """What this target asks: ECS, and CloudWatch Logs for the last words of a task."""

    ecs: ECSClient
    logs: CloudWatchLogsClient


@dataclass(frozen=True, kw_only=True)
class Connections:
    """All that migrations and rollbacks ask."""

    clients: Clients
    scaling: ApplicationAutoScalingClient
    store: S3Client


def connections(connection: Connection) -> Connections:
    """Return all that migrations and rollbacks ask."""
    return Connections(
        clients=connect(connection),
        scaling=connection.client("application-autoscaling"),
        store=connection.client("s3"),
    )


def connect(connection: Connection) -> Clients:
    """Return the clients that look at a service."""
    return Clients(ecs=connection.client("ecs"), logs=connection.client("logs"))


def store_client(
    region: str, *, endpoint: str | None, access_key: str | None = None, secret_key: str | None = None
) -> S3Client:
    """Return a client of an S3 server, of AWS's own without an endpoint; without keys the surroundings' are taken."""
    # boto3 takes a third of a second to import, which a command that only prints its help need not wait for.
    import boto3  # noqa: PLC0415

    session = boto3.session.Session(aws_access_key_id=access_key, aws_secret_access_key=secret_key)
    return session.client("s3", endpoint_url=endpoint, config=config(region))


def config(region: str, *, configured_endpoint: bool = True) -> Config:
    """Return how every client of this target asks: with deadlines, and again if it was throttled.

    Without `configured_endpoint` it asks AWS's own address, whatever the environment names instead.
    """
    from botocore.config import Config  # noqa: PLC0415 - as boto3

    return Config(  # type: ignore[call-arg]  # botocore's stubs do not know the third one
        region_name=region,
        ignore_configured_endpoint_urls=None if configured_endpoint else True,
        connect_timeout=_CONNECT_S,
        read_timeout=_ANSWER_S,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
    )
