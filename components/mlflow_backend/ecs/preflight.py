"""The inputs of preflight: what a stack's settings say must be there, for the program and for `doctor`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render.database import protected
from mlflow_backend.ecs.args import EcsBackendArgs
from mlflow_backend.preflight.arguments import PreflightArgs

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

_PLATFORMS: Final = {"X86_64": "linux/amd64", "ARM64": "linux/arm64"}
# What the server loads to reach its database, its artifacts and its queue.
_DRIVERS: Final = ("boto3", "psycopg2", "redis")


def preflight_args(settings: Settings, naming: Naming, args: EcsBackendArgs | None = None) -> PreflightArgs:
    """Return what is looked at before anything is changed; without `args` they are the settings' own."""
    args = args or EcsBackendArgs(settings=settings).complete()
    connection = args.connection or Connection(naming.region)
    database, cache = args.existing_database, args.existing_cache
    named = {
        "aws.database.secret": database.secret if database else None,
        "aws.cache.secret": cache.secret if cache else None,
        "aws.registrySecret": settings.aws.registry_secret,
    }
    url, login = settings.network.public_url, settings.aws.registry_secret
    return PreflightArgs(
        image=str(settings.server.image),
        platform=_PLATFORMS[settings.aws.architecture],
        mlflow_version=settings.server.mlflow_version,
        drivers=_DRIVERS,
        registry_login=None if login is None else f"secretsmanager:{login}",
        account=naming.account,
        region=naming.region,
        profile=connection.profile,
        role=connection.role,
        secrets={setting: arn for setting, arn in named.items() if arn is not None},
        reader=naming.role_arn("server-execution"),
        certificate=args.certificate,
        host=url.partition("://")[2] if url else None,
        hosted_zone=args.hosted_zone,
        zones=settings.aws.network.zones if settings.network.mode == "create" else 0,
        soak=_soak(settings, naming),
        database=database.host if database else None,
        boundary=settings.aws.permissions_boundary or ("" if protected(settings) else None),
    )


def _soak(settings: Settings, naming: Naming) -> dict[str, str | int] | None:
    """Return the ledger in which a release must have been verified before it may come here.

    It is found by its name alone, so the other stack has a bucket of its own making.
    """
    source = settings.release.soak_source
    if source is None:
        return None
    bucket = replace(naming, stack=source).bucket("data")
    hours = settings.release.soak_hours
    return {"stack": source, "hours": hours, "region": naming.region, "bucket": bucket, "root": ""}
