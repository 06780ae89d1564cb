"""The desired state of a local server: what the settings make of it, as its resource is asked for it. Pure."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from mlflow_backend.codec import to_document
from mlflow_backend.local import credentials, render
from mlflow_backend.local.naming import ARTIFACT_ROOT, AUTH_DATABASE, DATABASE, REGION, ROLE, tracking_url
from mlflow_backend.local.ports import LOOPBACK
from mlflow_backend.server import (
    AccessControl,
    ArtifactStore,
    CacheAddress,
    DatabaseAddress,
    ServerDescription,
    describe,
)
from mlflow_backend.server.environment import ACCESS_VARIABLE

if TYPE_CHECKING:
    from mlflow_backend.local.state import StateDir
    from mlflow_backend.server.access import Mode
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class DesiredServer:
    """What a revision runs: another value of any field is another release.

    `environment_lock` and `package` are the digests of what is installed: MLflow's lock, and the server package. The
    ports of `description` are 0: they are chosen with each revision. `secret_versions` are those of the secrets that it
    refers to.
    """

    mlflow_version: str
    environment_lock: str
    package: str
    description: ServerDescription
    secret_versions: Mapping[str, str]

    @property
    def identity(self) -> str:
        """The identity of the release."""
        return render.digest(to_document(self))

    @property
    def access(self) -> str:
        """The access mode."""
        return self.description.environment[ACCESS_VARIABLE]


def server(  # noqa: PLR0913 - what a server depends on, by name
    settings: Settings,
    state: StateDir,
    *,
    ports: Mapping[str, int],
    versions: Mapping[str, str],
    lock: str,
    package: str,
) -> DesiredServer:
    """Return the server that the settings describe beside services on these ports, with these versions of secrets.

    Raises Refused for settings that the MLflow version cannot fulfil.
    """
    from mlflow_backend.settings.server_inputs import server_inputs  # noqa: PLC0415 - providers start light

    inputs = server_inputs(
        settings,
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
        access=AccessControl(
            # The target has refused the mode that only clouds have.
            mode=cast("Mode", settings.access.mode),
            admin_user=credentials.ADMIN_NAME,
            admin_password=credentials.ADMIN,
            session_key=credentials.FLASK,
            database=AUTH_DATABASE,
            keys=str(state.credentials / credentials.API_KEYS),
            requests_per_minute=settings.access.requests_per_minute,
        ),
    )
    described = describe(inputs)
    needed = sorted({name for template in described.secret_environment.values() for name in template.references()})
    return DesiredServer(
        mlflow_version=settings.server.mlflow_version,
        environment_lock=lock,
        package=package,
        description=described,
        secret_versions={name: versions[name] for name in needed},
    )
