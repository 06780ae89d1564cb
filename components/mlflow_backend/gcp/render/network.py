"""The network: a subnet for instances, and the range in which Google's own services have addresses. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.gcp.render import scheduler

if TYPE_CHECKING:
    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

APIS: Final = (
    "compute.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "iap.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "redis.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "servicenetworking.googleapis.com",
    "sqladmin.googleapis.com",
    "storage.googleapis.com",
)
"""What each project must have enabled. Destroying a stack disables none of them: others may use them by then."""

# Ours to choose: room for one instance of each service, and for their replacements.
_SERVICES_PREFIX_LENGTH: Final = 20


def apis(settings: Settings) -> tuple[str, ...]:
    """Return what a stack's project must have enabled."""
    return (*APIS, *([scheduler.API] if scheduler.schedules(settings) else []))


def network_name(naming: Naming, name: str) -> str:
    """Return the resource name of a network in the backend's project."""
    return f"projects/{naming.project}/global/networks/{name}"


def subnet_name(naming: Naming) -> str:
    """Return the resource name of the subnet that is made."""
    return f"projects/{naming.project}/regions/{naming.region}/subnetworks/{naming.network('instances')}"


def network(naming: Naming) -> dict[str, Any]:
    """Return the body of the network."""
    return {
        "name": naming.network(),
        "autoCreateSubnetworks": False,
        "routingConfig": {"routingMode": "REGIONAL"},
    }


def subnet(settings: Settings, naming: Naming, *, network: str) -> dict[str, Any]:
    """Return the body of the subnet that instances have their addresses from."""
    return {
        "name": naming.network("instances"),
        "region": naming.region,
        "network": network,
        "ipCidrRange": settings.gcp.network.cidr,
        # Instances have no public address; Google's APIs are then called by private ones.
        "privateIpGoogleAccess": True,
    }


def services_range(naming: Naming, *, network: str) -> dict[str, Any]:
    """Return the body of the range for Cloud SQL and Memorystore, whose first address Google chooses."""
    return {
        "name": naming.network("services"),
        "purpose": "VPC_PEERING",
        "addressType": "INTERNAL",
        "prefixLength": _SERVICES_PREFIX_LENGTH,
        "network": network,
    }
