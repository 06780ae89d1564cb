"""Task definitions: the server's, and the one-shot tasks' that migrate and verify in its network. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.balancer import LONGEST_FARGATE_STOP_S, public_url, stop_timeout
from mlflow_backend.aws.render.cache import cache_address
from mlflow_backend.aws.render.database import database_address
from mlflow_backend.aws.render.network import SERVER_PORT
from mlflow_backend.aws.render.policies import DUMPS
from mlflow_backend.aws.render.secrets import DATABASE_PASSWORD, SERVER_SECRETS, SecretSource
from mlflow_backend.aws.store import FETCH
from mlflow_backend.backup import job
from mlflow_backend.backup.bundle import API_KEYS
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.ecs.render import containers, scheduled
from mlflow_backend.ecs.render.containers import Container
from mlflow_backend.ecs.render.scheduled import VERIFY
from mlflow_backend.ecs.render.size import fargate_size
from mlflow_backend.migrate.tool import COMMAND
from mlflow_backend.schedules import BACKUP, MAINTENANCE
from mlflow_backend.server import AccessControl, ArtifactStore, cache_url, describe, keys, login
from mlflow_backend.settings.server_inputs import server_inputs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import S3Root
    from mlflow_backend.server import CacheAddress, DatabaseAddress, ServerDescription
    from mlflow_backend.settings import Settings

SERVER: Final = "server"
DATABASE: Final = "database"
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

BACKUP_GIB: Final = 200
"""Fargate's most (Amazon ECS developer guide, 'Fargate task ephemeral storage'): one sealed dump, or one artifact."""

_DISKS: Final[Mapping[str, int]] = {SERVER: SPOOL_GIB, BACKUP: BACKUP_GIB}

BACKED_UP: Final = tuple(name for name in SERVER_SECRETS if name not in {DATABASE_PASSWORD, login.VERIFICATION_KEY})
"""The secrets that users and their data know a backend by; the others are between its own parts."""

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

    def secrets(self, names: Mapping[str, str]) -> dict[str, SecretSource]:
        """Return one of them for each variable that names it."""
        return {variable: self.secret(name) for variable, name in names.items()}

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
    single = {**{name: drawn.secret(name) for name in SERVER_SECRETS}, DATABASE_PASSWORD: drawn.password}
    composed = {} if inputs.cache is None else {cache_url(inputs.cache).text: drawn.cache_secret}
    size = fargate_size(cpu=settings.server.cpu, memory=settings.server.memory, need_mib=server.memory_mib)
    secrets = containers.secret_sources(server.secret_environment, single=single, composed=composed)
    plain = _container(settings, naming, drawn, SERVER, server.argv, environment=server.environment, secrets=secrets)
    container = replace(
        plain,
        log_group=naming.log_group(SERVER),
        stop_timeout_s=stop_timeout(server.stop_timeout_s),
        port=server.port,
        health=containers.health_command(port=server.port, liveness=server.liveness, readiness=server.readiness),
        probe=server.liveness,
        labels={**plain.labels, containers.SETTINGS_LABEL: release},
    )
    made = [(container, size)]
    # The identity of a release is asked of the server's task alone, which packs no tools.
    if _ROLES[DATABASE] in drawn.roles:
        made += [(each, _TASK_SIZE) for each in _one_shots(settings, naming, server, drawn)]
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
        return AccessControl(mode="token", keys=drawn.api_keys or "", requests_per_minute=limit)
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


def _one_shots(
    settings: Settings, naming: Naming, server: ServerDescription, drawn: TaskDependencies
) -> Iterator[Container]:
    """Give the containers of the one-shot tasks.

    All but the one that verifies have the server's own environment, so that they mean the same database. The commands
    of the first two only read: each run names its own, and what is verified comes with it
    (mlflow_backend/verification/inside.py).
    """
    one_shot = partial(_container, settings, naming, drawn)
    mode, tools = settings.access.mode, scheduled.tools(settings, naming)
    known = {"PGPASSWORD": drawn.password, **drawn.secrets(keys.VARIABLES)}
    # A restored dump is re-encrypted, for which the former keys are needed too.
    read = {**known, keys.FORMER_VARIABLE: drawn.secret(keys.FORMER)}
    if drawn.admin_secret is not None:
        read |= {
            f"MLFLOW_BACKEND_ADMIN_{part.upper()}": SecretSource(arn=drawn.admin_secret, key=key)
            for part, key in (("user", "username"), ("password", "password"))
        }
    dumps = {"MLFLOW_BACKEND_DUMPS": drawn.store.address(DUMPS)}
    yield one_shot(DATABASE, (*COMMAND, "status"), environment={**server.environment, **dumps}, secrets=read)
    region = {"AWS_DEFAULT_REGION": naming.region, "AWS_REGION": naming.region, "PYTHONUNBUFFERED": "1"}
    yield one_shot(VERIFY, ("python", "--version"), environment=region, secrets=drawn.secrets(login.variables(mode)))
    if BACKUP in tools:
        backed_up = {job.variable(name): drawn.secret(name) for name in BACKED_UP}
        if mode == "token" and drawn.api_keys is not None:
            backed_up[job.variable(API_KEYS)] = SecretSource(arn=drawn.api_keys, key="")
        command = tools[BACKUP](drawn.store, drawn.url).command(FETCH)
        yield one_shot(BACKUP, command, environment=server.environment, secrets={**known, **backed_up})
    if MAINTENANCE in tools:
        command = tools[MAINTENANCE](drawn.store, drawn.url).command(FETCH)
        called = drawn.secrets(login.client_variables(mode))
        environment = {**server.environment, "MLFLOW_TRACKING_URI": drawn.url}
        yield one_shot(MAINTENANCE, command, environment=environment, secrets={**known, **called})


def _container(  # noqa: PLR0913 - what it is made of, by name
    settings: Settings,
    naming: Naming,
    drawn: TaskDependencies,
    name: str,
    command: tuple[str, ...],
    *,
    environment: Mapping[str, str],
    secrets: Mapping[str, SecretSource],
) -> Container:
    return Container(
        name=name,
        image=drawn.image,
        command=command,
        environment={**environment, "TMPDIR": containers.SPOOL},
        secrets=secrets,
        log_group=naming.log_group(TASKS),
        region=naming.region,
        stop_timeout_s=LONGEST_FARGATE_STOP_S,
        labels={containers.VERSION_LABEL: settings.server.mlflow_version},
        registry_secret=settings.aws.registry_secret,
    )
