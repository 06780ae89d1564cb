"""Inputs of the server on Cloud Run: its addresses, and the names that it answers to. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.cloudrun.render.containers import ca_path
from mlflow_backend.cloudrun.render.size import server_size
from mlflow_backend.gcp.render.cache import cache_address
from mlflow_backend.gcp.render.database import database_address
from mlflow_backend.gcp.render.secrets import API_KEYS, CACHE_CA
from mlflow_backend.server import AccessControl, ArtifactStore
from mlflow_backend.settings.server_inputs import server_inputs

if TYPE_CHECKING:
    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.gcp.root import GcsRoot
    from mlflow_backend.server import ServerInputs
    from mlflow_backend.settings import Settings

SERVER_PORT: Final = 5000
# Google's own proxy, and the front.
_PROXIES: Final = 2


def public_url(settings: Settings, naming: Naming) -> str:
    """Return the URL that users call."""
    return settings.network.public_url or naming.url()


def hosts(naming: Naming, tag: str) -> tuple[str, ...]:
    """Return every host by which a revision is called: the service's, its own tag's, each in both of Google's forms.

    The second form holds a hash that Google draws with the first deployment, so that a pattern stands for it: MLflow
    takes `*` in one. Without the tag's a candidate would answer its own verification with 403.
    """
    return (naming.host(), naming.hashed_hosts(), naming.host(tag), naming.hashed_hosts(tag))


def inputs_of(  # noqa: PLR0913 - what Google draws, by name
    settings: Settings, naming: Naming, *, tag: str, database: str, cache: str, cache_port: int, store: GcsRoot
) -> ServerInputs:
    """Return the inputs. `database` and `cache` are private addresses. Raises ValueError for an impossible size."""
    size, mode = server_size(settings), settings.access.mode
    keys = f"projects/{naming.project}/secrets/{naming.secret(API_KEYS)}/versions/latest"
    inputs = server_inputs(
        settings,
        public_url=public_url(settings, naming),
        host="127.0.0.1",
        port=SERVER_PORT,
        database=database_address(settings, database),
        artifacts=ArtifactStore(destination=store.address(ARTIFACTS)),
        cache=cache_address(settings, cache, cache_port, ca=ca_path(CACHE_CA)),
        access=(
            AccessControl(mode="token", keys=keys, requests_per_minute=settings.access.requests_per_minute)
            if mode == "token"
            else AccessControl(mode="basic" if mode == "basic" else "none")
        ),
    )
    return replace(
        inputs,
        hosts=(*inputs.hosts, *hosts(naming, tag)),
        proxies=_PROXIES,
        max_artifact_mib=size.artifact_mib,
        temporary_mib=size.spool_mib,
    )
