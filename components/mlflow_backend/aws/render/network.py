"""Subnets, ways out, and who may talk to whom. Pure.

The rules between security groups are one table, so that the path balancer -> server -> database and cache can be read
in one place, and so that a test can say that there is no other.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

from mlflow_backend.report.quantities import HOUR, Billing, Inputs, Quantity, length, one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.settings import Settings

SERVER_PORT: Final = 5000
DATABASE_PORT: Final = 5432
CACHE_PORT: Final = 6379
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80

_ANY: Final = "0.0.0.0/0"

# ECR asks for two endpoints, and the layers come from S3 (its gateway endpoint costs nothing and is always made).
INTERFACE_ENDPOINTS: Final = ("ecr.api", "ecr.dkr", "logs", "secretsmanager")

# Eight parts: four zones of two kinds, of which two or three zones are used.
_PART_BITS: Final = 3

Group = Literal["balancer", "server", "tasks", "database", "cache", "endpoints"]
Direction = Literal["ingress", "egress"]


@dataclass(frozen=True, kw_only=True)
class Subnet:
    """One subnet of a created network; `zone` counts from 0."""

    public: bool
    zone: int
    cidr: str

    @property
    def suffix(self) -> str:
        """What the subnet is called within the backend."""
        return f"{'public' if self.public else 'private'}-{self.zone}"


@dataclass(frozen=True, kw_only=True)
class NetworkPlan:
    """A created network. `gateways` is the number of NAT gateways; `endpoints` the services reached inside."""

    cidr: str
    subnets: tuple[Subnet, ...]
    gateways: int
    endpoints: tuple[str, ...]
    tasks_are_public: bool

    def gateway_of(self, zone: int) -> int | None:
        """Return which NAT gateway a zone's private subnet goes out by; None when it goes out by none."""
        return min(zone, self.gateways - 1) if self.gateways else None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One allowed direction between a group and its peer: another group, an IPv4 block, or S3's own addresses."""

    group: Group
    direction: Direction
    port: int
    purpose: str
    peer: Group | None = None
    cidr: str | None = None
    s3: bool = False

    @property
    def suffix(self) -> str:
        """What the rule is called within the backend, unique among all of them."""
        other = self.peer or self.cidr or "s3"
        return f"{self.group}-{self.direction}-{other.replace('.', '-').replace('/', '-')}-{self.port}"


def network_plan(settings: Settings) -> NetworkPlan:
    """Return the network to create: in each zone a public and a private subnet of equal size."""
    wanted = settings.aws.network
    block = ipaddress.IPv4Network(wanted.cidr)
    # Public ones in the first half and private ones in the second, so that a third zone added later moves no other.
    parts = list(block.subnets(prefixlen_diff=_PART_BITS))
    half = len(parts) // 2
    subnets = [
        Subnet(public=public, zone=zone, cidr=str(parts[zone if public else half + zone]))
        for public in (True, False)
        for zone in range(wanted.zones)
    ]
    return NetworkPlan(
        cidr=wanted.cidr,
        subnets=tuple(subnets),
        gateways={"nat": 1, "natPerZone": wanted.zones}.get(wanted.egress, 0),
        endpoints=INTERFACE_ENDPOINTS if wanted.egress == "endpoints" else (),
        tasks_are_public=wanted.egress == "publicIp",
    )


def rules(settings: Settings) -> tuple[Rule, ...]:
    """Return every rule between the backend's security groups; what is not in it is closed."""
    by_endpoints = settings.network.mode == "create" and settings.aws.network.egress == "endpoints"
    found = [*_into_balancer(settings), *_behind_balancer(settings)]
    for group in ("server", "tasks"):
        found += _to_aws(group, by_endpoints=by_endpoints)
    if by_endpoints:
        found += [
            Rule(group="endpoints", direction="ingress", peer=group, port=HTTPS_PORT, purpose="services of AWS")
            for group in ("server", "tasks")
        ]
    return tuple(found)


def callers(settings: Settings) -> tuple[str, ...]:
    """Return the IPv4 blocks that may call the balancer."""
    wanted = settings.aws.network
    if wanted.internal and "allowed_cidrs" not in wanted.model_fields_set and settings.network.mode == "create":
        return (wanted.cidr,)
    return tuple(wanted.allowed_cidrs)


def tasks_call_balancer(settings: Settings) -> bool:
    """Return whether a one-shot task can call the balancer by the URL that users call."""
    wanted = settings.aws.network
    # One that is public has public addresses in the VPC too: a task goes out to them, and comes from one of AWS's.
    return wanted.internal or (wanted.egress != "endpoints" and _ANY in callers(settings))


def _into_balancer(settings: Settings) -> list[Rule]:
    wanted = settings.aws.network
    ports = [HTTPS_PORT, HTTP_PORT] if wanted.certificate else [HTTP_PORT]
    found = [
        Rule(group="balancer", direction="ingress", cidr=cidr, port=port, purpose="users")
        for cidr in callers(settings)
        for port in ports
    ]
    if wanted.internal:
        # Verification runs inside the network if nobody outside can call the balancer, and maintenance always does.
        purpose = "verification and maintenance"
        found += [
            Rule(group="balancer", direction="ingress", peer="tasks", port=ports[0], purpose=purpose),
            Rule(group="tasks", direction="egress", peer="balancer", port=ports[0], purpose=purpose),
        ]
    return found


def _behind_balancer(settings: Settings) -> list[Rule]:
    steps: list[tuple[Group, Group, int, str]] = [
        ("balancer", "server", SERVER_PORT, "requests and target checks"),
        ("server", "database", DATABASE_PORT, "tracking and registry"),
        ("tasks", "database", DATABASE_PORT, "migration, dump and restore"),
        ("server", "cache", CACHE_PORT, "job queue and rate limits"),
    ]
    found = []
    for source, target, usual, purpose in steps:
        port = _port(settings, target, usual)
        found.append(Rule(group=source, direction="egress", peer=target, port=port, purpose=purpose))
        found.append(Rule(group=target, direction="ingress", peer=source, port=port, purpose=purpose))
    return found


def _to_aws(group: Group, *, by_endpoints: bool) -> list[Rule]:
    purpose = "images, logs, secrets and artifacts"
    if by_endpoints:
        return [
            Rule(group=group, direction="egress", peer="endpoints", port=HTTPS_PORT, purpose=purpose),
            Rule(group=group, direction="egress", s3=True, port=HTTPS_PORT, purpose=purpose),
        ]
    # AWS publishes no list of its addresses that a rule could name, but for S3; TLS and IAM are the fence here.
    return [Rule(group=group, direction="egress", cidr=_ANY, port=HTTPS_PORT, purpose=purpose)]


def _port(settings: Settings, target: Group, usual: int) -> int:
    existing = {"database": settings.database.existing, "cache": settings.cache.existing}.get(target)
    return (urlsplit(existing).port or usual) if existing else usual


ADDRESS: Final = ("public-ipv4", "Public IPv4 address", "address", HOUR)


def _endpoint(inputs: Inputs) -> Iterator[Quantity]:
    zones = length(inputs.get("subnetIds"))
    yield Quantity("vpc-endpoint", "VPC interface endpoint, each zone", "endpoint", HOUR, zones)


BILLING: Final[Mapping[str, Billing]] = {
    "aws:ec2/vpcEndpoint:VpcEndpoint": Billing(
        counted=_endpoint,
        by_use=("data through interface endpoints",),
        applies=lambda inputs: inputs.get("vpcEndpointType") == "Interface",
    ),
    "aws:ec2/natGateway:NatGateway": Billing(
        counted=one("nat-gateway", "NAT gateway", "gateway", HOUR), by_use=("data through NAT gateways",)
    ),
    "aws:ec2/eip:Eip": Billing(counted=one(*ADDRESS)),
}
