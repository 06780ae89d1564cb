"""What a stack's settings say of its server, the same on every target. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

from mlflow_backend.server.describe import PoolSize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.settings import Settings


class Wanted(TypedDict):
    """The fields of `ServerInputs` that no target decides."""

    mlflow_version: str
    workers: int
    jobs: bool
    pool: PoolSize
    request_timeout_s: int
    extra_flags: Mapping[str, str | bool]
    max_request_mib: int
    max_artifact_mib: int
    temporary_mib: int
    access_log: bool
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    path_prefix: str


def wanted(settings: Settings) -> Wanted:
    """Return what the settings want, to be joined with a target's addresses and access control."""
    server, database = settings.server, settings.database
    return Wanted(
        mlflow_version=server.mlflow_version,
        workers=server.workers,
        jobs=server.jobs,
        pool=PoolSize(size=database.pool_size, max_overflow=database.max_overflow),
        request_timeout_s=server.request_timeout,
        extra_flags=server.extra_flags,
        max_request_mib=server.max_request_mib,
        max_artifact_mib=server.max_artifact_mib,
        temporary_mib=server.temporary_mib,
        access_log=server.access_log,
        hosts=tuple(settings.access.hosts),
        origins=tuple(settings.access.origins),
        path_prefix=settings.network.path_prefix,
    )
