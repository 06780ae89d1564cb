"""Task definitions: the server's, and the one-shot tasks' that migrate and verify in its network. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.balancer import LONGEST_FARGATE_STOP_S, public_url, stop_timeout
from mlflow_backend.aws.render.cache import cache_address
from mlflow_backend.aws.render.database import database_address
from mlflow_backend.aws.render.network import SERVER_PORT
from mlflow_backend.aws.render.policies import ARTIFACTS, DUMPS
from mlflow_backend.aws.render.secrets import DATABASE_PASSWORD, SERVER_SECRETS, SecretSource
from mlflow_backend.aws.store import FETCH
from mlflow_backend.backup import job
from mlflow_backend.backup.bundle import API_KEYS
from mlflow_backend.ecs.render import containers, maintenance
from mlflow_backend.ecs.render.backups import DISK_GIB, SECRETS, tool
from mlflow_backend.ecs.render.containers import Container, Logs
from mlflow_backend.ecs.render.size import fargate_size
from mlflow_backend.migrate.tool import COMMAND
from mlflow_backend.schedules import BACKUP, MAINTENANCE
from mlflow_backend.server import AccessControl, ArtifactStore, cache_url, describe, keys, login
from mlflow_backend.settings.server_inputs import server_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import S3Root
    from mlflow_backend.server import CacheAddress, DatabaseAddress, ServerDescription
    from mlflow_backend.settings import Settings

SERVER: Final = "server"
DATABASE: Final = "database"
VERIFY: Final = "verify"
TASKS: Final = "tasks"
"""Log group of all one-shot tasks."""

DRAWN: Final = ("container_definitions", "cpu", "execution_role_arn", "memory", "task_role_arn")
"""Arguments of a task definition that do not follow from the settings alone."""

# The one-shot tasks hold one Python process each; a dump streams.
TASK_CPU: Final = 512
_TASK_SIZE: Final = (TASK_CPU, 1024)
"""CPU units and MiB."""

# Room for uploads that are spooled: Fargate's own 20 GiB are shared with the image.
SPOOL_GIB: Final = 40

_DISKS: Final[Mapping[str, int]] = {SERVER: SPOOL_GIB, BACKUP: DISK_GIB}

ONE_SHOTS: Final[Mapping[str, str]] = {DATABASE: "tasks", VERIFY: "verify", BACKUP: BACKUP, MAINTENANCE: MAINTENANCE}
"""One-shot task -> its role; the one that starts it is called the same with `-execution`."""
_ROLES: Final[Mapping[str, str]] = {SERVER: "server", **ONE_SHOTS}


@dataclass(frozen=True, kw_only=True)
class TaskDependencies:
    """What a backend's tasks are made of besides the settings: what preflight resolves, and what AWS gives names to.

    `image` is pinned by digest. Where tasks read their secrets is no secret itself: `server_secret` holds one key for
    each of the server's secrets, so its own `key` is not used, `cache_secret` the cache's whole URL, and
    `database_secret` the password of an adopted database's user; None for a created one, whose password is among the
    server's. `admin_secret` and `api_keys` are ARNs: of the secret of a created instance's master user, who makes the
    server's role, and of that with the hashes of API keys. `roles` are ARNs by part; without a role for it there is no
    task that verifies.
    """

    image: str
    url: str
    database: DatabaseAddress
    cache: CacheAddress
    store: S3Root
    server_secret: SecretSource
    cache_secret: SecretSource
    database_secret: SecretSource | None = None
    admin_secret: str | None = None
    api_keys: str | None = None
    roles: Mapping[str, str]

    def secret(self, name: str) -> SecretSource:
        """Return one of the server's secrets."""
        return replace(self.server_secret, key=name)

    @property
    def password(self) -> SecretSource:
        """The password of the server's role in the database."""
        return self.database_secret or self.secret(DATABASE_PASSWORD)


def fixed(settings: Settings, naming: Naming, part: str) -> dict[str, Any]:
    """Return the arguments that follow from the settings alone: a first preview knows them, and policies check them."""
    return {
        "family": naming.family(part),
        "runtime_platform": {"cpu_architecture": settings.aws.architecture, "operating_system_family": "LINUX"},
        "ephemeral_storage": {"size_in_gib": _DISKS[part]} if part in _DISKS else None,
        "network_mode": "awsvpc",
        "requires_compatibilities": ["FARGATE"],
        "volumes": [{"name": name} for name in sorted(containers.VOLUMES)],
    }


def definitions(
    settings: Settings, naming: Naming, drawn: TaskDependencies, *, release: str
) -> dict[str, dict[str, Any]]:
    """Return the arguments of a backend's task definitions: the server's, and those of its one-shot tasks.

    `release` is the identity of the release. Raises Refused for what the MLflow version cannot do.
    """
    inputs = server_inputs(
        settings,
        public_url=drawn.url,
        host="0.0.0.0",  # noqa: S104 - the task's own address is not known here, and its security group is the fence
        port=SERVER_PORT,
        database=drawn.database,
        artifacts=ArtifactStore(destination=drawn.store.address(ARTIFACTS), region=naming.region),
        cache=drawn.cache,
        access=_access(settings, drawn),
    )
    server = describe(inputs)
    composed = {} if inputs.cache is None else {cache_url(inputs.cache).text: drawn.cache_secret}
    size = fargate_size(cpu=settings.server.cpu, memory=settings.server.memory, need_mib=server.memory_mib)
    made = [
        (_server(settings, naming, server, drawn, composed=composed, release=release), size),
        (_database(settings, naming, server, drawn), _TASK_SIZE),
        (_verify(settings, naming, drawn), _TASK_SIZE),
    ]
    if settings.backup.destination is not None:
        made.append((_backup(settings, naming, server, drawn), _TASK_SIZE))
    if MAINTENANCE in drawn.roles:
        made.append((_maintenance(settings, naming, server, drawn), _TASK_SIZE))
    return {
        container.name: {
            **fixed(settings, naming, container.name),
            "cpu": str(cpu),
            "memory": str(memory),
            "execution_role_arn": drawn.roles[f"{_ROLES[container.name]}-execution"],
            "task_role_arn": drawn.roles[_ROLES[container.name]],
            "container_definitions": containers.text([containers.definition(container)]),
        }
        for container, (cpu, memory) in made
        if _ROLES[container.name] in drawn.roles
    }


def _access(settings: Settings, drawn: TaskDependencies) -> AccessControl:
    mode, limit = settings.access.mode, settings.access.requests_per_minute
    if mode == "token":
        named = drawn.api_keys or ""
        return AccessControl(mode="token", keys=named, requests_per_minute=limit)
    return AccessControl(mode="basic" if mode == "basic" else "none")


def release_identity(settings: Settings, naming: Naming) -> str:
    """Return the identity of the release that settings describe, by which a failed one is blocked.

    A digest over exactly what the server's task is given. Addresses, ARNs and versions that AWS draws have a name of
    their own in it: they are known after the first update only, and are no other release.
    """
    unknown = SecretSource(arn="drawn", key="")
    database, cache = settings.aws.database.secret, settings.aws.cache.secret
    drawn = TaskDependencies(
        image=settings.server.image or "",
        url=public_url(settings, "balancer"),
        database=database_address(settings, settings.database.existing or "database", 0),
        cache=cache_address(settings, settings.cache.existing or "cache", 0),
        store=storage.store(settings, naming),
        server_secret=unknown,
        database_secret=SecretSource(arn=database, key="password") if database else unknown,
        cache_secret=SecretSource(arn=cache, key="url") if cache else unknown,
        api_keys=unknown.arn,
        roles=dict.fromkeys(("server", "server-execution"), ""),
    )
    task = definitions(settings, naming, drawn, release="")[SERVER]
    return hashlib.sha256(json.dumps(task, sort_keys=True).encode()).hexdigest()[:16]


def _server(  # noqa: PLR0913 - what the container is made of, by name
    settings: Settings,
    naming: Naming,
    server: ServerDescription,
    drawn: TaskDependencies,
    *,
    composed: Mapping[str, SecretSource],
    release: str,
) -> Container:
    single = {**{name: drawn.secret(name) for name in SERVER_SECRETS}, DATABASE_PASSWORD: drawn.password}
    return Container(
        name=SERVER,
        image=drawn.image,
        command=server.argv,
        environment={**server.environment, "TMPDIR": containers.SPOOL},
        secrets=containers.secret_sources(server.secret_environment, single=single, composed=composed),
        logs=Logs(group=naming.log_group(SERVER), region=naming.region, prefix=SERVER),
        stop_timeout_s=stop_timeout(server.stop_timeout_s),
        port=server.port,
        health=containers.health_command(port=server.port, liveness=server.liveness, readiness=server.readiness),
        probe=server.liveness,
        labels={containers.VERSION_LABEL: settings.server.mlflow_version, containers.SETTINGS_LABEL: release},
        registry_secret=settings.aws.registry_secret,
    )


def _database(settings: Settings, naming: Naming, server: ServerDescription, drawn: TaskDependencies) -> Container:
    """Return the container that reads, migrates, dumps and restores the database.

    It has the server's own environment, so that both mean the same database, and besides the keys in force the former
    ones: a restored dump is re-encrypted. The command here only reads: each run names its own.
    """
    encryption = {**keys.VARIABLES, keys.FORMER_VARIABLE: keys.FORMER}
    secrets = {"PGPASSWORD": drawn.password} | {variable: drawn.secret(name) for variable, name in encryption.items()}
    if drawn.admin_secret is not None:
        secrets |= {
            "MLFLOW_BACKEND_ADMIN_USER": SecretSource(arn=drawn.admin_secret, key="username"),
            "MLFLOW_BACKEND_ADMIN_PASSWORD": SecretSource(arn=drawn.admin_secret, key="password"),
        }
    environment = {**server.environment, "MLFLOW_BACKEND_DUMPS": drawn.store.address(DUMPS)}
    container = _one_shot(settings, naming, DATABASE, drawn)
    return replace(
        container,
        command=(*COMMAND, "status"),
        environment={**container.environment, **environment},
        secrets=secrets,
    )


def _verify(settings: Settings, naming: Naming, drawn: TaskDependencies) -> Container:
    """Return the container that verifies from inside the network.

    Each run names its command: what is checked comes with it (mlflow_backend/verification/inside.py).
    """
    environment = {"AWS_DEFAULT_REGION": naming.region, "AWS_REGION": naming.region, "PYTHONUNBUFFERED": "1"}
    container = _one_shot(settings, naming, VERIFY, drawn)
    secrets = {variable: drawn.secret(name) for variable, name in login.variables(settings.access.mode).items()}
    return replace(container, environment={**container.environment, **environment}, secrets=secrets)


def _backup(settings: Settings, naming: Naming, server: ServerDescription, drawn: TaskDependencies) -> Container:
    """Return the container that takes a backup: with the server's own database, and what users know it by."""
    encryption = {variable: drawn.secret(name) for variable, name in keys.VARIABLES.items()}
    backed_up = {job.variable(name): drawn.secret(name) for name in SECRETS}
    if settings.access.mode == "token" and drawn.api_keys is not None:
        backed_up[job.variable(API_KEYS)] = SecretSource(arn=drawn.api_keys, key="")
    container = _one_shot(settings, naming, BACKUP, drawn)
    return replace(
        container,
        command=tool(settings, naming, drawn.store).command(FETCH, cloud="aws"),
        environment={**container.environment, **server.environment},
        secrets={"PGPASSWORD": drawn.password, **encryption, **backed_up},
    )


def _maintenance(settings: Settings, naming: Naming, server: ServerDescription, drawn: TaskDependencies) -> Container:
    """Return the container that maintains: with the server's own database, and an administrator's login at the URL."""
    container = _one_shot(settings, naming, MAINTENANCE, drawn)
    names = {**login.client_variables(settings.access.mode), **keys.VARIABLES}
    return replace(
        container,
        command=maintenance.tool(settings, naming, drawn.store).command(FETCH, cloud="aws"),
        environment={**container.environment, **server.environment, "MLFLOW_TRACKING_URI": drawn.url},
        secrets={"PGPASSWORD": drawn.password, **{variable: drawn.secret(name) for variable, name in names.items()}},
    )


def _one_shot(settings: Settings, naming: Naming, name: str, drawn: TaskDependencies) -> Container:
    return Container(
        name=name,
        image=drawn.image,
        command=("python", "--version"),
        environment={"TMPDIR": containers.SPOOL},
        secrets={},
        logs=Logs(group=naming.log_group(TASKS), region=naming.region, prefix=name),
        stop_timeout_s=LONGEST_FARGATE_STOP_S,
        labels={containers.VERSION_LABEL: settings.server.mlflow_version},
        registry_secret=settings.aws.registry_secret,
    )
