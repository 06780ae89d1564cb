"""Settings that no target on AWS can fulfil, found before anything is touched. Pure.

Settings that are wrong on every target are refused by mlflow_backend/settings. Each refusal is a function that yields
clauses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from mlflow_backend.aws.render.database import LONGEST_RETENTION_DAYS
from mlflow_backend.settings.budget import accepted_connections
from mlflow_backend.settings.instance_class import most_connections
from mlflow_backend.settings.problems import shown_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.settings import Settings

_LEAST_SUBNETS = 2
# What all services take (AWS general reference, 'Tagging your AWS resources').
_TAG = re.compile(r"[\w .:/=+@-]{0,256}")
_SIZES = {"database": {"instance_class", "storage", "max_storage", "multi_az"}, "cache": set[str]()}
"""Settings that size a created server, by its section."""


def account(settings: Settings) -> Iterator[str]:
    """Account and region are said, never taken from whoever is logged in."""
    if settings.aws.account is None:
        yield "aws.account is missing, and the backend must not land in whatever account is logged in"
    if settings.aws.region is None:
        yield "aws.region is missing"


def tags(settings: Settings) -> Iterator[str]:
    """Every service takes the tags."""
    for key, value in settings.tags.items():
        if not (_TAG.fullmatch(key) and _TAG.fullmatch(value)) or key.lower().startswith("aws:"):
            yield f"tags.{shown_key(key)} has characters that AWS takes in no tag (letters, digits, spaces, _.:/=+-@)"


def encryption(settings: Settings) -> Iterator[str]:
    """Plain HTTP stays inside a network, and a public URL is one that the balancer can answer."""
    network, url = settings.aws.network, settings.network.public_url
    if network.certificate is None and not network.internal:
        yield (
            "aws.network.certificate is missing, and plain HTTP is for an internal balancer only "
            "(aws.network.internal: true)"
        )
    if network.certificate is not None and url is None:
        yield "network.publicUrl is missing, and a certificate is for the name in it"
    if url is None:
        return
    if (urlsplit(url).scheme == "https") != (network.certificate is not None):
        yield "network.publicUrl and aws.network.certificate disagree on HTTPS"
    if urlsplit(url).port is not None:
        yield "network.publicUrl names a port, and the balancer listens on the scheme's own"


def record(settings: Settings) -> Iterator[str]:
    """A DNS record needs a name."""
    if settings.aws.network.hosted_zone is not None and settings.network.public_url is None:
        yield "aws.network.hostedZone is set, and there is no network.publicUrl to make a record of"


def adopted_network(settings: Settings) -> Iterator[str]:
    """An adopted network comes with its subnets, and a created one without."""
    wanted = settings.aws.network
    if settings.network.mode == "create":
        if wanted.public_subnets or wanted.private_subnets:
            yield "aws.network has subnets of an adopted network, and network.mode is create"
        return
    if len(wanted.private_subnets) < _LEAST_SUBNETS:
        yield "aws.network.privateSubnets of an adopted network must name two or more, in different zones"
    if not wanted.internal and len(wanted.public_subnets) < _LEAST_SUBNETS:
        yield "aws.network.publicSubnets must name two or more for an internet-facing balancer"
    if shaping := {"cidr", "zones", "egress"} & wanted.model_fields_set:
        yield f"aws.network.{min(shaping)} shapes a created network, and network.mode is adopt"


def adopted_server(settings: Settings) -> Iterator[str]:
    """An adopted database or cache comes with a secret and a security group, and a created one without."""
    for part, sizes in _SIZES.items():
        wanted = getattr(settings.aws, part)
        if getattr(settings, part).mode == "create":
            if wanted.secret is not None or wanted.security_group is not None:
                yield f"aws.{part}.secret and securityGroup are of an adopted {part}, and {part}.mode is create"
            continue
        if wanted.secret is None:
            yield f"aws.{part}.secret is missing for the adopted {part}"
        if wanted.security_group is None:
            yield f"aws.{part}.securityGroup is missing for the adopted {part}"
        if sized := sizes & wanted.model_fields_set:
            yield f"aws.{part}.{min(sized)} sizes a created {part}, and {part}.mode is adopt"


def adopted_store(settings: Settings) -> Iterator[str]:
    """Artifacts lie in S3."""
    existing = settings.artifacts.existing
    if existing is not None and not existing.startswith("s3://"):
        yield "artifacts.existing is not in S3"
    if settings.artifacts.mode == "create" and settings.aws.artifacts.key is not None:
        yield "aws.artifacts.key is of an adopted bucket, and artifacts.mode is create"


def database_size(settings: Settings) -> Iterator[str]:
    """The instance bears the connections that it is started with, and storage grows upwards."""
    if settings.database.mode == "adopt":
        return
    wanted = settings.aws.database
    most, accepted = most_connections(wanted.instance_class), accepted_connections(settings)
    if most is not None and accepted > most:
        yield (
            f"database.maxConnections is {accepted}, and {wanted.instance_class} has memory "
            f"for {most}; lower it, or take a larger aws.database.instanceClass"
        )
    if wanted.max_storage is not None and wanted.max_storage <= wanted.storage:
        yield "aws.database.maxStorage is not more than aws.database.storage"


def backups(settings: Settings) -> Iterator[str]:
    """RDS keeps what is asked for."""
    days = settings.backup.retention_days
    if days is not None and days > LONGEST_RETENTION_DAYS:
        yield f"backup.retentionDays is {days}, and RDS keeps {LONGEST_RETENTION_DAYS} at most"


def soak(settings: Settings) -> Iterator[str]:
    """A release soaks on another stack, for a time."""
    release = settings.release
    if release.soak_hours and release.soak_source is None:
        yield "release.soakHours is set, and release.soakSource does not say on which stack a release has to soak"
    if release.soak_source is not None and not release.soak_hours:
        yield "release.soakSource is set, and release.soakHours does not say for how long"


def topic(settings: Settings) -> Iterator[str]:
    """An address is subscribed to a created topic only."""
    if settings.aws.monitoring.topic is not None and settings.aws.monitoring.email is not None:
        yield "aws.monitoring.email is set, and the adopted aws.monitoring.topic has its own subscribers"


RULES: tuple[Callable[[Settings], Iterator[str]], ...] = (
    account,
    tags,
    encryption,
    record,
    adopted_network,
    adopted_server,
    adopted_store,
    database_size,
    backups,
    soak,
    topic,
)
