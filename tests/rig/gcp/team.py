"""What a team has in its project already: network, database, cache, bucket and secrets, made by the APIs alone."""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any, Final

from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.gcp.rig import GcpRig

ROLE: Final = "mlflow"
_SERVICES: Final = "v1/services/servicenetworking.googleapis.com/connections"
_DEADLINE_S: Final = 60
_CA: Final = "/etc/mlflow-backend/cache-ca/ca.pem"


def network(rig: GcpRig, name: str) -> str:
    """Make a network that Google's services are connected to; return its resource name."""
    root, found = f"compute/v1/projects/{rig.project}/global", f"projects/{rig.project}/global/networks/{name}"
    rig.call("POST", f"{root}/networks", {"name": name, "autoCreateSubnetworks": False}, api="compute.v1")
    reserved = {"name": f"{name}-services", "purpose": "VPC_PEERING", "addressType": "INTERNAL", "network": found}
    rig.call("POST", f"{root}/addresses", reserved, api="compute.v1")
    connection = {"network": found, "reservedPeeringRanges": [f"{name}-services"]}
    rig.call("POST", _SERVICES, connection, api="servicenetworking.v1")
    return found


def subnet(rig: GcpRig, name: str, *, network: str) -> str:
    """Make a subnet for instances; return its resource name."""
    path = f"projects/{rig.project}/regions/{rig.region}/subnetworks"
    body = {"name": name, "region": rig.region, "network": network, "ipCidrRange": "10.50.0.0/24"}
    rig.call("POST", f"compute/v1/{path}", body, api="compute.v1")
    return f"{path}/{name}"


def database(rig: GcpRig, name: str, *, network: str, databases: tuple[str, ...]) -> tuple[str, str]:
    """Make an instance with empty databases of ROLE; return its private address and the role's password."""
    path, password = f"v1/projects/{rig.project}/instances", secrets.token_hex(16)
    address = {"ipv4Enabled": False, "privateNetwork": network, "sslMode": "ENCRYPTED_ONLY"}
    flags = [{"name": "max_connections", "value": "100"}]
    body = {
        "name": name, "region": rig.region, "databaseVersion": "POSTGRES_16",
        "settings": {"ipConfiguration": address, "databaseFlags": flags},
    }  # fmt: skip
    rig.call("POST", path, body, api="sqladmin.v1")
    engine = rig.databases.running[name]
    engine.execute("postgres", f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}'")
    # The service's own user is no superuser: it hands over what is a role's that it is a member of.
    engine.execute("postgres", f"GRANT {ROLE} TO {engine.master}")
    for each in databases:
        engine.execute("postgres", f"CREATE DATABASE {each} OWNER {ROLE}")
    return engine.address, password


def cache(rig: GcpRig, name: str, *, network: str) -> tuple[str, str]:
    """Make an instance with TLS; return its host and the URL with its password, as servers are given it."""
    parent = f"v1/projects/{rig.project}/locations/{rig.region}"
    body = {
        "tier": "BASIC", "memorySizeGb": 1, "authorizedNetwork": network, "connectMode": "PRIVATE_SERVICE_ACCESS",
        "authEnabled": True, "transitEncryptionMode": "SERVER_AUTHENTICATION",
    }  # fmt: skip
    made = rig.call("POST", f"{parent}/instances", body, api="redis.v1", instanceId=name)
    done = f"v1/{made['name']}"
    until(lambda: rig.call("GET", done, api="redis.v1")["done"], what="the cache", deadline_s=_DEADLINE_S)
    found = rig.call("GET", f"{parent}/instances/{name}", api="redis.v1")
    token = rig.call("GET", f"{parent}/instances/{name}/authString", api="redis.v1")["authString"]
    where = f"{found['host']}:{found['port']}"
    return where, f"rediss://:{token}@{where}/0?ssl_ca_certs={_CA}&ssl_check_hostname=false"


def bucket(rig: GcpRig, name: str, *, uniform: bool = True) -> None:
    """Make a bucket, with uniform access or with access lists of its own."""
    closed: Mapping[str, Any] = {"uniformBucketLevelAccess": {"enabled": uniform}}
    body = {"name": name, "iamConfiguration": closed}
    rig.call("POST", "storage/v1/b", body, api="storage.v1", project=rig.project)


def secret(rig: GcpRig, name: str, value: str) -> str:
    """Make a secret; return the name of its one version."""
    root = f"projects/{rig.project}/secrets"
    body: dict[str, Any] = {"replication": {"automatic": {}}}
    rig.call("POST", f"v1/{root}", body, api="secretmanager.v1", secretId=name)
    add_version(rig, name, value)
    return f"{root}/{name}/versions/1"


def add_version(rig: GcpRig, name: str, value: str) -> None:
    """Give a secret another value."""
    data = {"payload": {"data": base64.b64encode(value.encode()).decode()}}
    path = f"v1/projects/{rig.project}/secrets/{name}:addVersion"
    rig.call("POST", path, data, api="secretmanager.v1")
