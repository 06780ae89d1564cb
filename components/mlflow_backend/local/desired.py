"""Pure: from settings and the services' ports to what is wished of the local server, as plain data and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from mlflow_backend.local import credentials, render
from mlflow_backend.local.naming import ARTIFACT_ROOT, AUTH_DATABASE, DATABASE, REGION, ROLE, tracking_url
from mlflow_backend.local.ports import LOOPBACK
from mlflow_backend.server import (
    AccessControl,
    ArtifactStore,
    CacheAddress,
    DatabaseAddress,
    PoolSize,
    ServerInputs,
    describe,
    wanted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.local.state import StateDir
    from mlflow_backend.server.access import Mode
    from mlflow_backend.settings import Settings

_WHOLE = (
    "port",
    "workers",
    "request_timeout_s",
    "max_request_mib",
    "max_artifact_mib",
    "temporary_mib",
    "metrics_port",
)


def access_of(settings: Settings, state: StateDir) -> AccessControl:
    """Return who may call the server; the target has refused the mode that only clouds have."""
    return AccessControl(
        mode=cast("Mode", settings.access.mode),
        admin_user=credentials.ADMIN_NAME,
        admin_password=credentials.ADMIN,
        session_key=credentials.FLASK,
        database=AUTH_DATABASE,
        keys=str(state.credentials / credentials.API_KEYS),
        requests_per_minute=settings.access.requests_per_minute,
    )


def server_inputs(settings: Settings, ports: Mapping[str, int], access: AccessControl) -> ServerInputs:
    """Return what the server is described from; its own ports are chosen with each revision, and 0 here."""
    return ServerInputs(
        **wanted(settings),
        public_url=tracking_url(ports["front"], settings.network.path_prefix),
        host=LOOPBACK,
        port=0,
        database=DatabaseAddress(
            host=LOOPBACK, port=ports["database"], name=DATABASE, user=ROLE, password=credentials.DATABASE
        ),
        artifacts=ArtifactStore(
            destination=ARTIFACT_ROOT,
            endpoint_url=f"http://{LOOPBACK}:{ports['store']}",
            region=REGION,
            access_key=credentials.STORE_ACCESS,
            secret_key=credentials.STORE_SECRET,
        ),
        cache=CacheAddress(host=LOOPBACK, port=ports["cache"], password=credentials.CACHE),
        access=access,
    )


def server_wishes(inputs: ServerInputs, versions: Mapping[str, str], installed: Mapping[str, str]) -> dict[str, Any]:
    """Return the wish as the resource keeps it: a change of any value in it is a new revision.

    `installed` holds the digests of what is installed: `environmentLock` of MLflow's lock, `package` of the server
    package. The digest covers what this project's own code makes of the inputs, so that a changed flag reaches the
    server.
    """
    described = describe(inputs)
    needed = sorted({name for template in described.secret_environment.values() for name in template.references()})
    return {
        "inputs": asdict(inputs),
        "description": render.digest(asdict(described)),
        **installed,
        "secretVersions": {name: versions[name] for name in needed},
    }


def inputs_of(document: Mapping[str, Any]) -> ServerInputs:
    """Return the inputs that a resource's properties hold; Pulumi gives whole numbers back as floats."""
    fields = dict(document)
    whole = {name: int(fields[name]) for name in _WHOLE}
    limit = fields["access"].get("requests_per_minute")
    access = {**fields["access"], "requests_per_minute": None if limit is None else int(limit)}
    return ServerInputs(
        **{
            **fields,
            **whole,
            "database": DatabaseAddress(**{**fields["database"], "port": int(fields["database"]["port"])}),
            "artifacts": ArtifactStore(**fields["artifacts"]),
            "cache": CacheAddress(**{**fields["cache"], "port": int(fields["cache"]["port"])}),
            "pool": PoolSize(**{name: int(value) for name, value in fields["pool"].items()}),
            "hosts": tuple(fields["hosts"]),
            "origins": tuple(fields["origins"]),
            # Documents of before had none.
            "proxies": int(fields.get("proxies", 1)),
            "access": AccessControl(**access),
        }
    )


def serving_digest(parts: Mapping[str, Any]) -> str:
    """Return the identity of everything that serving depends on."""
    return render.digest(dict(parts))
