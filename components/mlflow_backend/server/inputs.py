"""All that shapes one `mlflow server`: what a stack's settings ask for, and the addresses that its target gives."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlflow_backend.server.access import AccessControl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.server.addresses import ArtifactStore, CacheAddress, DatabaseAddress


LEAST_CONNECTIONS: Final = 4
"""Connections that one request takes from an engine: a batch that names its run has four sessions open, one within the
other (log_batch, _set_tags, set_tag, update_run_info of mlflow/store/tracking/sqlalchemy_store.py, 2.9.2 to 3.17.2)."""


@dataclass(frozen=True, kw_only=True)
class PoolSize:
    """Connections that one SQLAlchemy engine keeps, and how many more it opens under load.

    Both are at least 1: MLflow takes a zero for 'unset' and falls back to SQLAlchemy's 5 and 10
    (mlflow/store/db/utils.py, 2.9.2 to 3.18.0).
    """

    size: int = 5
    max_overflow: int = 10

    def __post_init__(self) -> None:
        """Raise ValueError for a zero, which MLflow would not honour."""
        if self.size < 1 or self.max_overflow < 1:
            raise ValueError("pool size and overflow are at least 1: MLflow takes a zero for 'unset'")


@dataclass(frozen=True, kw_only=True)
class ServerInputs:
    """All that shapes one server. `public_url` is what users call; `host` and `port` are where the process listens.

    `hosts` are further names that users call it by, with a port or without; `origins` are further pages that call it.
    `default_permission` is what MLflow's own users may do with what nobody gave a permission for.
    `path_prefix` is the path of `public_url`; the plugin takes it away, so that MLflow's routes are what they are.
    `max_request_mib` bounds a request's body, `max_artifact_mib` an artifact's upload; 0 is no limit. `temporary_mib`
    bounds the server's temporary files. `metrics_port` is where Prometheus asks, 0 for nowhere.
    `proxies` is how many proxies of the target each caller comes through: Caddy on `local`, the balancer on `ecs`.
    """

    mlflow_version: str
    public_url: str
    host: str
    port: int
    database: DatabaseAddress
    artifacts: ArtifactStore
    cache: CacheAddress | None = None
    workers: int = 1
    jobs: bool = False
    pool: PoolSize = field(default_factory=PoolSize)
    request_timeout_s: int = 300
    extra_flags: Mapping[str, str | bool] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    path_prefix: str = ""
    default_permission: str = "READ"
    access: AccessControl = field(default_factory=AccessControl)
    max_request_mib: int = 64
    max_artifact_mib: int = 5120
    temporary_mib: int = 16384
    access_log: bool = True
    metrics_host: str = "127.0.0.1"
    metrics_port: int = 0
    proxies: int = 1
