"""Task definitions: the server's, and the one-shot tasks' that migrate and verify in its network. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.balancer import LONGEST_FARGATE_STOP_S, public_url, stop_timeout
from mlflow_backend.aws.render.cache import cache_address
from mlflow_backend.aws.render.database import database_address
from mlflow_backend.aws.render.network import SERVER_PORT
from mlflow_backend.aws.render.policies import BACKEND
from mlflow_backend.aws.render.secrets import DATABASE_PASSWORD, SERVER_SECRETS, VERIFICATION_KEY, SecretSource
from mlflow_backend.ecs.render import containers
from mlflow_backend.ecs.render.containers import Container, Logs
from mlflow_backend.ecs.render.size import fargate_size
from mlflow_backend.server import AccessControl, ArtifactStore, cache_url, describe, keys
from mlflow_backend.settings.server_inputs import server_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Store
    from mlflow_backend.server import CacheAddress, DatabaseAddress, ServerDescription, ServerInputs
    from mlflow_backend.settings import Settings

SERVER: Final = "server"
DATABASE: Final = "database"
VERIFY: Final = "verify"
TASKS: Final = "tasks"
"""Log group of all one-shot tasks."""

DATABASE_TOOL: Final = ("python", "-m", "mlflow_backend_server.db")

PROBE: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "basic": {
        "username": ("MLFLOW_BACKEND_PROBE_USERNAME", "admin-user"),
        "password": ("MLFLOW_BACKEND_PROBE_PASSWORD", "admin-password"),
    },
    "token": {"token": ("MLFLOW_BACKEND_PROBE_TOKEN", VERIFICATION_KEY)},
}
"""Access mode -> credential -> the verification task's variable, and the key of the server's secret."""

# The one-shot tasks hold one Python process each; a dump streams.
TASK_CPU: Final = 512
_TASK_MEMORY_MIB: Final = 1024

# Room for uploads that are spooled: Fargate's own 20 GiB are shared with the image.
SPOOL_GIB: Final = 40

_ROLES: Final[Mapping[str, str]] = {SERVER: "server", DATABASE: "tasks", VERIFY: "verify"}
"""Task -> its role; the one that starts it is called the same with `-execution`."""


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """Where tasks read their secrets; no secret itself.

    `server` holds one key for each of the server's secrets: its own `key` is not used. `database` is the password of
    the server's role, `cache` the cache's whole URL. `admin` holds the instance's master user, who makes the server's
    role; None for an adopted database, whose owner made it.
    """

    server: SecretSource
    database: SecretSource
    cache: SecretSource
    admin: SecretSource | None = None


@dataclass(frozen=True, kw_only=True)
class TaskDefinition:
    """One task definition: each field is an argument of the resource."""

    family: str
    cpu: str
    memory: str
    runtime_platform: Mapping[str, str]
    execution_role_arn: str
    task_role_arn: str
    container_definitions: str
    ephemeral_storage: Mapping[str, int] | None
    network_mode: str
    requires_compatibilities: Sequence[str]
    volumes: Sequence[Mapping[str, str]]


def fixed(settings: Settings, naming: Naming, part: str) -> dict[str, Any]:
    """Return the arguments that follow from the settings alone: a first preview knows them, and policies check them."""
    return {
        "family": naming.family(part),
        "runtime_platform": {"cpu_architecture": settings.aws.architecture, "operating_system_family": "LINUX"},
        "ephemeral_storage": {"size_in_gib": SPOOL_GIB} if part == SERVER else None,
        "network_mode": "awsvpc",
        "requires_compatibilities": ["FARGATE"],
        "volumes": [{"name": name} for name in sorted(containers.VOLUMES)],
    }


def inputs_of(  # noqa: PLR0913 - what AWS draws, by name
    settings: Settings,
    naming: Naming,
    *,
    url: str,
    database: DatabaseAddress,
    cache: CacheAddress,
    store: Store,
    api_keys: str,
) -> ServerInputs:
    """Return what the server is described from. `api_keys` is the ARN of the secret with their hashes."""
    mode, limit = settings.access.mode, settings.access.requests_per_minute
    return server_inputs(
        settings,
        public_url=url,
        host="0.0.0.0",  # noqa: S104 - the task's own address is not known here, and its security group is the fence
        port=SERVER_PORT,
        database=database,
        artifacts=ArtifactStore(destination=storage.destination(store), region=naming.region),
        cache=cache,
        access=(
            AccessControl(mode="token", keys=api_keys, requests_per_minute=limit)
            if mode == "token"
            else AccessControl(mode="basic" if mode == "basic" else "none")
        ),
    )


def definitions(  # noqa: PLR0913 - what tasks are made of, by name
    settings: Settings,
    naming: Naming,
    inputs: ServerInputs,
    *,
    image: str,
    release: str,
    store: Store,
    secrets: Secrets,
    roles: Mapping[str, str],
) -> dict[str, TaskDefinition]:
    """Return a backend's task definitions: the server's, and those of its one-shot tasks.

    `image` is pinned by digest, `release` is the identity of the release, `roles` are ARNs by part; without a role for
    it there is no task that verifies. Raises Refused for what the MLflow version cannot do.
    """
    server = describe(inputs)
    made = {
        SERVER: _server(settings, naming, server, image=image, sources=_sources(inputs, secrets), release=release),
        DATABASE: _database(settings, naming, server, image=image, secrets=secrets, store=store),
        VERIFY: _verify(settings, naming, image=image, secrets=secrets),
    }
    return {
        part: _definition(settings, naming, container, memory_mib=server.memory_mib, roles=roles)
        for part, container in made.items()
        if _ROLES[part] in roles
    }


def release_identity(settings: Settings, naming: Naming) -> str:
    """Return the identity of the release that settings describe, by which a failed one is blocked.

    A digest over exactly what the server's task is given. Addresses, ARNs and versions that AWS draws have a name of
    their own in it: they are known after the first update only, and are no other release.
    """
    drawn = SecretSource(arn="drawn", key="")
    database, cache = settings.aws.database.secret, settings.aws.cache.secret
    store = storage.store(settings, naming)
    inputs = inputs_of(
        settings,
        naming,
        url=public_url(settings, "balancer"),
        database=database_address(settings, settings.database.existing or "database", 0),
        cache=cache_address(settings, settings.cache.existing or "cache", 0),
        store=store,
        api_keys=drawn.arn,
    )
    task = definitions(
        settings,
        naming,
        inputs,
        image=settings.server.image or "",
        release="",
        store=store,
        secrets=Secrets(
            server=drawn,
            database=SecretSource(arn=database, key="password") if database else drawn,
            cache=SecretSource(arn=cache, key="url") if cache else drawn,
        ),
        roles=dict.fromkeys(("server", "server-execution"), ""),
    )[SERVER]
    return hashlib.sha256(json.dumps(asdict(task), sort_keys=True).encode()).hexdigest()[:16]


def _definition(
    settings: Settings, naming: Naming, container: Container, *, memory_mib: int, roles: Mapping[str, str]
) -> TaskDefinition:
    cpu, memory = (
        fargate_size(cpu=settings.server.cpu, memory=settings.server.memory, need_mib=memory_mib)
        if container.name == SERVER
        else (TASK_CPU, _TASK_MEMORY_MIB)
    )
    role = _ROLES[container.name]
    return TaskDefinition(
        **fixed(settings, naming, container.name),
        cpu=str(cpu),
        memory=str(memory),
        execution_role_arn=roles[f"{role}-execution"],
        task_role_arn=roles[role],
        container_definitions=containers.text([containers.definition(container)]),
    )


def _server(  # noqa: PLR0913 - what the container is made of, by name
    settings: Settings,
    naming: Naming,
    server: ServerDescription,
    *,
    image: str,
    sources: Mapping[str, Mapping[str, SecretSource]],
    release: str,
) -> Container:
    return Container(
        name=SERVER,
        image=image,
        command=server.argv,
        environment={**server.environment, "TMPDIR": containers.SPOOL},
        secrets=containers.secret_sources(server.secret_environment, **sources),
        logs=Logs(group=naming.log_group(SERVER), region=naming.region, prefix=SERVER),
        stop_timeout_s=stop_timeout(server.stop_timeout_s),
        port=server.port,
        health=containers.health_command(port=server.port, liveness=server.liveness, readiness=server.readiness),
        probe=server.liveness,
        labels={containers.VERSION_LABEL: settings.server.mlflow_version, containers.SETTINGS_LABEL: release},
        registry_secret=settings.aws.registry_secret,
    )


def _database(  # noqa: PLR0913 - what the container is made of, by name
    settings: Settings, naming: Naming, server: ServerDescription, *, image: str, secrets: Secrets, store: Store
) -> Container:
    """Return the container that reads, migrates, dumps and restores the database.

    It has the server's own environment, so that both mean the same database, and besides the keys in force the former
    ones: a restored dump is re-encrypted. The command here only reads: each run names its own.
    """
    encryption = {**keys.VARIABLES, keys.FORMER_VARIABLE: keys.FORMER}
    sources = {"PGPASSWORD": secrets.database} | {
        variable: replace(secrets.server, key=name) for variable, name in encryption.items()
    }
    if secrets.admin is not None:
        sources |= {
            "MLFLOW_BACKEND_ADMIN_USER": replace(secrets.admin, key="username"),
            "MLFLOW_BACKEND_ADMIN_PASSWORD": replace(secrets.admin, key="password"),
        }
    dumps = f"s3://{store.bucket}/{store.prefix(BACKEND)}/dumps"
    environment = {**server.environment, "MLFLOW_BACKEND_DUMPS": dumps}
    return _one_shot(
        settings, naming, DATABASE, image=image, command=(*DATABASE_TOOL, "status"), environment=environment,
        secrets=sources,
    )  # fmt: skip


def _verify(settings: Settings, naming: Naming, *, image: str, secrets: Secrets) -> Container:
    """Return the container that verifies from inside the network.

    Each run names its command: what is checked comes with it (mlflow_backend/verification/inside.py).
    """
    probe = PROBE.get(settings.access.mode, {})
    environment = {"AWS_DEFAULT_REGION": naming.region, "AWS_REGION": naming.region, "PYTHONUNBUFFERED": "1"}
    return _one_shot(
        settings,
        naming,
        VERIFY,
        image=image,
        command=("python", "--version"),
        environment=environment,
        secrets={variable: replace(secrets.server, key=key) for variable, key in probe.values()},
    )


def _one_shot(  # noqa: PLR0913 - what differs between them, by name
    settings: Settings,
    naming: Naming,
    name: str,
    *,
    image: str,
    command: tuple[str, ...],
    environment: Mapping[str, str],
    secrets: Mapping[str, SecretSource],
) -> Container:
    return Container(
        name=name,
        image=image,
        command=command,
        environment={**environment, "TMPDIR": containers.SPOOL},
        secrets=secrets,
        logs=Logs(group=naming.log_group(TASKS), region=naming.region, prefix=name),
        stop_timeout_s=LONGEST_FARGATE_STOP_S,
        labels={containers.VERSION_LABEL: settings.server.mlflow_version},
        registry_secret=settings.aws.registry_secret,
    )


def _sources(inputs: ServerInputs, secrets: Secrets) -> dict[str, dict[str, SecretSource]]:
    own = {name: replace(secrets.server, key=name) for name in SERVER_SECRETS}
    composed = {} if inputs.cache is None else {cache_url(inputs.cache).text: secrets.cache}
    return {"single": {**own, DATABASE_PASSWORD: secrets.database}, "composed": composed}
