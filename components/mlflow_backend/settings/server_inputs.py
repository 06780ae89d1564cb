"""The inputs of a stack's server: what its settings ask for, joined with the addresses that its target gives. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.server import PoolSize, ServerInputs

if TYPE_CHECKING:
    from mlflow_backend.server import AccessControl, ArtifactStore, CacheAddress, DatabaseAddress
    from mlflow_backend.settings.models import Settings


def server_inputs(  # noqa: PLR0913 - each address that a target gives, by name
    settings: Settings,
    *,
    public_url: str,
    host: str,
    port: int,
    database: DatabaseAddress,
    artifacts: ArtifactStore,
    cache: CacheAddress | None,
    access: AccessControl,
) -> ServerInputs:
    """Return what one server is described from."""
    server = settings.server
    return ServerInputs(
        public_url=public_url,
        host=host,
        port=port,
        database=database,
        artifacts=artifacts,
        cache=cache,
        access=access,
        mlflow_version=server.mlflow_version,
        workers=server.workers,
        jobs=server.jobs,
        pool=PoolSize(size=settings.database.pool_size, max_overflow=settings.database.max_overflow),
        request_timeout_s=server.request_timeout,
        extra_flags=server.extra_flags,
        max_request_mib=server.max_request_mib,
        max_artifact_mib=server.max_artifact_mib,
        temporary_mib=server.temporary_mib,
        access_log=server.access_log,
        hosts=tuple(settings.access.hosts),
        origins=tuple(settings.access.origins),
        path_prefix=settings.network.path_prefix,
        default_permission=settings.access.permissions.default,
    )
