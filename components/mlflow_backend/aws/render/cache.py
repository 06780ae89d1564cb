"""The cache: engine, parameters and how many nodes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.network import CACHE_PORT
from mlflow_backend.aws.render.secrets import CACHE_TOKEN
from mlflow_backend.report.quantities import HOUR, Billing, Inputs, Quantity, number, text
from mlflow_backend.server import CacheAddress

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.settings import Settings

_ENGINES: Final = {"valkey": ("8.0", "valkey8"), "redis": ("7.1", "redis7")}

# MLflow's job queue lives here: a queue whose entries may be thrown away when memory is short loses jobs silently.
# An error is seen, and the alarm on memory comes before it.
PARAMETERS: Final = {"maxmemory-policy": "noeviction"}

_SNAPSHOT_DAYS: Final = 1


@dataclass(frozen=True, kw_only=True)
class CachePlan:
    """A created cache. It fails over by itself as soon as it has a standby."""

    engine: str
    engine_version: str
    parameter_family: str
    node_type: str
    nodes: int
    port: int
    snapshot_days: int

    @property
    def fails_over(self) -> bool:
        """Whether a standby takes over."""
        return self.nodes > 1


def cache_address(settings: Settings, host: str, port: int) -> CacheAddress:
    """Return the cache as servers reach it; an adopted one has TLS if its URL says so, a created one always."""
    existing = settings.cache.existing
    return CacheAddress(
        host=host, port=port, password=CACHE_TOKEN, tls=existing is None or existing.startswith("rediss://")
    )


def cache_plan(settings: Settings) -> CachePlan:
    """Return the cache to create."""
    wanted = settings.aws.cache
    version, family = _ENGINES[wanted.engine]
    return CachePlan(
        engine=wanted.engine,
        engine_version=version,
        parameter_family=family,
        node_type=wanted.node_type,
        nodes=1 + wanted.replicas,
        port=CACHE_PORT,
        snapshot_days=_SNAPSHOT_DAYS,
    )


def _billed(inputs: Inputs) -> Iterator[Quantity]:
    name, engine = text(inputs.get("nodeType")), text(inputs.get("engine"))
    nodes = number(inputs.get("numCacheClusters", 1))
    yield Quantity(f"cache-node:{engine}:{name}", f"ElastiCache node {name} ({engine})", "node", HOUR, nodes)


BILLING: Final[Mapping[str, Billing]] = {
    "aws:elasticache/replicationGroup:ReplicationGroup": Billing(counted=_billed, by_use=("snapshots of the cache",)),
}
