"""Settings of AWS's own: where the backend is, and how large its parts are.

The sections that every target shares say what to create or adopt; this one adds what AWS needs to do it. What the
target ecs cannot do with a combination is refused by the target itself (mlflow_backend/ecs/refusals.py).
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlflow_backend.settings.section import Section

_ARN = re.compile(r"arn:aws[a-z-]*:[a-z0-9-]+:[a-z0-9-]*:\d*:\S+", re.ASCII)
# Amazon VPC's own bounds for an IPv4 block (Amazon VPC user guide, 'VPC CIDR blocks').
_LARGEST_VPC, _SMALLEST_VPC = 16, 28
# Below this prefix length no /24 for each kind of subnet in each of three zones is left.
_SMALLEST_NETWORK = 21


def _arn(text: str) -> str:
    if not _ARN.fullmatch(text):
        raise ValueError("must be an ARN, such as arn:aws:SERVICE:REGION:ACCOUNT:NAME")
    return text


def _network_block(text: str) -> str:
    try:
        block = ipaddress.IPv4Network(text)
    except ValueError:
        raise ValueError("must be an IPv4 block with no host bits set, such as 10.42.0.0/16") from None
    if not (_LARGEST_VPC <= block.prefixlen <= _SMALLEST_NETWORK):
        raise ValueError(
            f"must be a /{_LARGEST_VPC} to /{_SMALLEST_NETWORK}: AWS allows no larger, the zones no smaller"
        )
    return text


def caller_block(text: str) -> str:
    """Return an IPv4 block of callers. Raises ValueError, which does not repeat it."""
    try:
        ipaddress.IPv4Network(text)
    except ValueError:
        raise ValueError("must be an IPv4 block with no host bits set, such as 203.0.113.0/24") from None
    return text


Arn = Annotated[str, AfterValidator(_arn)]
SecurityGroup = Annotated[str, Field(pattern=r"^sg-[0-9a-f]+$")]
Subnet = Annotated[str, Field(pattern=r"^subnet-[0-9a-f]+$")]


class AwsNetwork(Section):
    """The network and the load balancer."""

    cidr: Annotated[str, AfterValidator(_network_block)] = "10.42.0.0/16"
    """Addresses of a created network."""
    zones: Annotated[int, Field(ge=2, le=3)] = 2
    """Availability zones of a created network; a load balancer needs two."""
    egress: Literal["nat", "natPerZone", "endpoints", "publicIp"] = "nat"
    """How tasks reach AWS: one NAT gateway, one a zone, VPC endpoints, or public addresses that nothing may call."""
    public_subnets: list[Subnet] = Field(default_factory=list)
    """Of an adopted network: the subnets of an internet-facing balancer."""
    private_subnets: list[Subnet] = Field(default_factory=list)
    """Of an adopted network: the subnets of tasks, database and cache; they must reach AWS."""
    internal: bool = False
    """The balancer has private addresses only."""
    certificate: Arn | None = None
    """ACM certificate of the public URL. Without one the balancer speaks plain HTTP, which only an internal one may."""
    hosted_zone: Annotated[str, Field(pattern=r"^Z[A-Z0-9]+$")] | None = None
    """Route 53 zone that gets the record of the public URL; left out, the record is yours to make."""
    allowed_cidrs: Annotated[list[Annotated[str, AfterValidator(caller_block)]], Field(min_length=1)] = Field(
        default_factory=lambda: ["0.0.0.0/0"]
    )
    """Who may call the balancer, as IPv4 blocks. An internal one is reached by its own network only, unless set."""
    access_logs: bool = True
    """Keep the balancer's access logs in a bucket of their own."""


class AwsDatabase(Section):
    """RDS for Postgres, or an adopted one."""

    instance_class: Annotated[str, Field(pattern=r"^db\.[a-z0-9]+\.[a-z0-9]+$")] = "db.t4g.small"
    """Instance class of a created database."""
    storage: Annotated[int, Field(ge=20, le=65536)] = 20
    """Storage of a created database in GiB; RDS for Postgres on gp3 starts at 20."""
    max_storage: Annotated[int, Field(ge=20, le=65536)] | None = None
    """GiB up to which storage grows by itself; left out, it does not."""
    multi_az: bool = False
    """Keep a standby in another zone."""
    user: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] = "mlflow"
    """The server's role in the database."""
    secret: Arn | None = None
    """Of an adopted database: the Secrets Manager secret whose JSON key `password` is the user's."""
    security_group: SecurityGroup | None = None
    """Of an adopted database: its security group, which the server may then reach."""


class AwsCache(Section):
    """ElastiCache, or an adopted one."""

    engine: Literal["valkey", "redis"] = "valkey"
    """Engine of a created cache."""
    node_type: Annotated[str, Field(pattern=r"^cache\.[a-z0-9]+\.[a-z0-9]+$")] = "cache.t4g.micro"
    """Node type of a created cache."""
    replicas: Annotated[int, Field(ge=0, le=5)] = 0
    """Standbys of a created cache; with one or more it fails over by itself."""
    secret: Arn | None = None
    """Of an adopted cache: the Secrets Manager secret whose JSON key `url` is its URL, password included."""
    security_group: SecurityGroup | None = None
    """Of an adopted cache: its security group, which the server may then reach."""


class AwsArtifacts(Section):
    """The S3 bucket."""

    key: Arn | None = None
    """Of an adopted bucket: the KMS key that its objects are encrypted with, if it is the customer's own."""
    access_logs: bool = False
    """Keep the bucket's server access logs beside the balancer's."""
    old_version_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """Days that overwritten and deleted objects can be brought back."""


class AwsScaling(Section):
    """When the number of replicas moves."""

    cpu_percent: Annotated[int, Field(ge=10, le=90)] = 60
    """Average CPU that autoscaling holds."""
    requests_per_replica: Annotated[int, Field(ge=60, le=1_000_000)] = 3000
    """Requests a minute and replica that autoscaling holds."""


class AwsMonitoring(Section):
    """Logs and alarms."""

    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653] = 30
    """Days that logs are kept; CloudWatch knows these numbers only."""
    topic: Arn | None = None
    """SNS topic that alarms go to; left out, one is created."""
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    """Address that is subscribed to a created topic; it has to confirm."""


class Aws(Section):
    """Everything that only AWS asks for."""

    account: Annotated[str, Field(pattern=r"^\d{12}$")] | None = None
    """The account, in quotes. Any other one is refused before anything is touched."""
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] | None = None
    """The region, such as eu-west-1."""
    permissions_boundary: Arn | None = None
    """Policy that bounds every role that is created."""
    architecture: Literal["X86_64", "ARM64"] = "X86_64"
    """CPU architecture of the tasks; the image must have it."""
    registry_secret: Arn | None = None
    """For an image in a private registry other than ECR: a secret with the JSON keys `username` and `password`."""
    network: AwsNetwork = Field(default_factory=AwsNetwork)
    database: AwsDatabase = Field(default_factory=AwsDatabase)
    cache: AwsCache = Field(default_factory=AwsCache)
    artifacts: AwsArtifacts = Field(default_factory=AwsArtifacts)
    scaling: AwsScaling = Field(default_factory=AwsScaling)
    monitoring: AwsMonitoring = Field(default_factory=AwsMonitoring)
