"""The cache on Memorystore for Redis: its body, and its address as servers take it. Pure.

No kind of Memorystore whose logins are short-lived IAM tokens is offered: the URL that MLflow is given holds one
password for the life of its process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlflow_backend.gcp.render.secrets import CACHE_AUTH
from mlflow_backend.report.quantities import HOUR, Billing, Inputs, Quantity, number, product, text
from mlflow_backend.server import CacheAddress, cache_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

VERSION: Final = "REDIS_7_2"
CACHE_PORT: Final = 6378
"""With TLS; the instance says it too (redis.v1, Instance.port), and then that holds."""

# Stands for the host until Google has drawn it.
_ANY_HOST: Final = "cache.invalid"
ANY_ADDRESS: Final = f"{_ANY_HOST}:{CACHE_PORT}"
"""What of `url_template` is replaced by the instance's own host and port."""


def url_template(settings: Settings, *, ca: str) -> str:
    """Return the URL of a created cache with its password's name in braces, and ANY_ADDRESS."""
    return cache_url(cache_address(settings, _ANY_HOST, CACHE_PORT, ca=ca)).text


def cache_address(settings: Settings, host: str, port: int, *, ca: str) -> CacheAddress:
    """Return the cache as servers reach it. `ca` is the path of the certificates of who signed a created one's own."""
    existing = settings.cache.existing
    if existing is None:
        return CacheAddress(host=host, port=port, password=CACHE_AUTH, tls=True, tls_ca=ca)
    return CacheAddress(host=host, port=port, password=CACHE_AUTH, tls=urlsplit(existing).scheme == "rediss")


def instance(settings: Settings, naming: Naming, *, network: str) -> dict[str, Any]:
    """Return the body of the instance. `network` is the resource name of the VPC whose private addresses it has."""
    wanted = settings.gcp.cache
    return {
        "displayName": f"Job queue and rate limits of {naming.service()}",
        "tier": "STANDARD_HA" if wanted.regional else "BASIC",
        "memorySizeGb": wanted.memory,
        "redisVersion": VERSION,
        "authorizedNetwork": network,
        # The range that the database has its address from.
        "connectMode": "PRIVATE_SERVICE_ACCESS",
        "authEnabled": True,
        "transitEncryptionMode": "SERVER_AUTHENTICATION",
        # MLflow's job queue lives here: a queue whose entries may be thrown away loses jobs without a word.
        "redisConfigs": {"maxmemory-policy": "noeviction"},
        "labels": naming.labels(settings.tags),
    }


def _billed(inputs: Inputs) -> Iterator[Quantity]:
    tier = text(inputs.get("tier"))
    nodes = 2 if tier == "STANDARD_HA" else 1
    memory = product(number(inputs.get("memorySizeGb")), nodes)
    yield Quantity(f"memorystore:{tier}", f"Memorystore for Redis ({tier})", "GiB", HOUR, memory)


BILLING: Final[Mapping[str, Billing]] = {"gcp:redis/instance:Instance": Billing(counted=_billed)}
