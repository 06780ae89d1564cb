"""Settings of Google Cloud's own: where the backend is, and how large its parts are.

The sections that every target shares say what to create or adopt; this one adds what Google Cloud needs to do it. What
the target cloudrun cannot do with a combination is refused by the target itself (mlflow_backend/cloudrun/refusals.py).
"""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlflow_backend.settings.section import Section

# 'Direct VPC egress with a VPC network' (Cloud Run): the subnet is a /26 or larger.
_SMALLEST_SUBNET = 26
_LARGEST_SUBNET = 8


def _subnet_block(text: str) -> str:
    try:
        block = ipaddress.IPv4Network(text)
    except ValueError:
        raise ValueError("must be an IPv4 block with no host bits set, such as 10.43.0.0/24") from None
    if not (_LARGEST_SUBNET <= block.prefixlen <= _SMALLEST_SUBNET):
        raise ValueError(f"must be a /{_LARGEST_SUBNET} to /{_SMALLEST_SUBNET}: Cloud Run takes no smaller subnet")
    return text


SecretVersion = Annotated[str, Field(pattern=r"^projects/[^/\s]+/secrets/[A-Za-z0-9_-]+/versions/[1-9][0-9]*$")]
KmsKey = Annotated[str, Field(pattern=r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$")]
Subnet = Annotated[str, Field(pattern=r"^projects/[^/\s]+/regions/[^/\s]+/subnetworks/[^/\s]+$")]
Principal = Annotated[str, Field(pattern=r"^(user|group|serviceAccount|domain|principal|principalSet):\S+$")]


class GcpNetwork(Section):
    """The network, and from where the service is called."""

    cidr: Annotated[str, AfterValidator(_subnet_block)] = "10.43.0.0/24"
    """Addresses of a created network's subnet, which the instances take theirs from."""
    subnet: Subnet | None = None
    """Of an adopted network: the subnet of the instances; the network must have private services access."""
    ingress: Literal["all", "internal", "internalAndLoadBalancer"] = "all"
    """From where the service is called: the internet too, networks of the project, or these and a load balancer."""


class GcpService(Section):
    """The Cloud Run service."""

    min_instances: Annotated[int, Field(ge=0)] | None = None
    """Instances that stay warm, for the whole service; left out: `server.replicas`. With 0 the first call after a
    pause waits for a start."""
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 80
    """Requests that one instance answers at a time."""


class GcpAccess(Section):
    """Who is let through by Google before the server is asked."""

    identity: Literal["iam", "iap"] | None = None
    """Google's own check: Cloud Run's invokers by identity token, or Identity-Aware Proxy on the service itself, where
    people sign in and service accounts show a token that they signed."""
    principals: list[Principal] = Field(default_factory=list)
    """Who passes that check, such as serviceAccount:NAME@PROJECT.iam.gserviceaccount.com or group:ADDRESS."""
    second_header: bool = False
    """Clients give Google its token in its second header (X-Serverless-Authorization, or Proxy-Authorization for IAP),
    because access.mode takes Authorization for the server's own check."""


class GcpDatabase(Section):
    """Cloud SQL for Postgres, or an adopted one."""

    tier: Annotated[str, Field(pattern=r"^db-[a-z0-9-]+$")] = "db-custom-1-3840"
    """Machine type of a created instance."""
    storage: Annotated[int, Field(ge=10)] = 10
    """Storage of a created instance in GB; Cloud SQL starts at 10."""
    max_storage: Annotated[int, Field(ge=10)] | None = None
    """GB up to which storage grows by itself; left out, it does not."""
    regional: bool = False
    """Keep a standby in another zone."""
    user: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")] = "mlflow"
    """The server's role in the database."""
    secret: SecretVersion | None = None
    """Of an adopted database: the secret's version that is the password of the server's role."""
    ca: SecretVersion | None = None
    """Of an adopted database: the secret's version with the certificates (PEM) of who signed the database's own."""


class GcpCache(Section):
    """Memorystore for Redis, or an adopted one."""

    memory: Annotated[int, Field(ge=1)] = 1
    """Memory of a created cache in GiB."""
    regional: bool = False
    """Keep a standby in another zone."""
    secret: SecretVersion | None = None
    """Of an adopted cache: the secret's version that is its whole URL, password included."""
    ca: SecretVersion | None = None
    """Of an adopted cache with TLS: the secret's version with the certificates (PEM) of who signed its own. The URL in
    `secret` names the file (docs/targets/cloudrun.md)."""


class GcpArtifacts(Section):
    """The bucket."""

    key: KmsKey | None = None
    """KMS key that a created bucket's objects are encrypted with; left out, Google's own."""
    old_version_days: Annotated[int, Field(ge=1, le=3650)] = 90
    """Days that overwritten and deleted objects can be brought back."""


class GcpMonitoring(Section):
    """Who gets alerts."""

    channel: Annotated[str, Field(pattern=r"^projects/[^/\s]+/notificationChannels/[^/\s]+$")] | None = None
    """Notification channel of Cloud Monitoring that alerts go to."""
    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    """Address that a channel is made for."""


class Gcp(Section):
    """Everything that only Google Cloud asks for."""

    project: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")] | None = None
    """The project's ID. Any other project is refused before anything is touched."""
    project_number: Annotated[str, Field(pattern=r"^[1-9][0-9]{5,18}$")] | None = None
    """The project's number, in quotes: the service's URL holds it."""
    region: Annotated[str, Field(pattern=r"^[a-z]+-[a-z]+[0-9]+$")] | None = None
    """The region, such as europe-west1."""
    network: GcpNetwork = Field(default_factory=GcpNetwork)
    service: GcpService = Field(default_factory=GcpService)
    access: GcpAccess = Field(default_factory=GcpAccess)
    database: GcpDatabase = Field(default_factory=GcpDatabase)
    cache: GcpCache = Field(default_factory=GcpCache)
    artifacts: GcpArtifacts = Field(default_factory=GcpArtifacts)
    monitoring: GcpMonitoring = Field(default_factory=GcpMonitoring)
