"""Task definitions: the server's, and the one-shot tasks' that migrate and verify in its network. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.balancer import LONGEST_FARGATE_STOP_S, public_url, stop_timeout
from mlflow_backend.aws.render.database import database_name
from mlflow_backend.aws.render.network import SERVER_PORT
from mlflow_backend.aws.render.policies import BACKEND
from mlflow_backend.aws.render.secrets import (
    CACHE_TOKEN,
    DATABASE_PASSWORD,
    SERVER_SECRETS,
    VERIFICATION_KEY,
    SecretSource,
)
from mlflow_backend.ecs.render import containers
from mlflow_backend.ecs.render.containers import Container, Logs
from mlflow_backend.ecs.render.size import fargate_size
from mlflow_backend.server import (
    AccessControl,
    ArtifactStore,
    CacheAddress,
    DatabaseAddress,
    ServerDescription,
    cache_url,
    describe,
    keys,
)
from mlflow_backend.settings.server_inputs import server_inputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Store
    from mlflow_backend.settings import Settings

SERVER: Final = "server"
DATABASE: Final = "database"
VERIFY: Final = "verify"
TASKS: Final = "tasks"
"""Log group of all one-shot tasks."""

DATABASE_TOOL: Final = ("python", "-m", "mlflow_backend_server.db")

# Where the image keeps the certificate bundle of RDS (server/Dockerfile).
DATABASE_CA: Final = "/opt/mlflow-backend/rds-ca-bundle.pem"

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


@dataclass(frozen=True, kw_only=True)
class Reached:
    """What AWS answered once the parts were there: addresses, ARNs and versions, and no secret.

    `image` is pinned by digest. `database_secret` holds the role's password and `cache_secret` the cache's whole URL;
    of `server_secret`, which holds one key a secret of the server, the `key` here is not used. `keys_secret` is the ARN
    of the secret with the hashes of API keys, empty where access is not by keys.
    """

    image: str
    public_url: str
    database_host: str
    database_port: int
    cache_host: str
    cache_port: int
    database_secret: SecretSource
    server_secret: SecretSource
    cache_secret: SecretSource
    execution_role_arn: str
    task_role_arn: str
    keys_secret: str = ""


@dataclass(frozen=True, kw_only=True)
class TaskDefinition:
    """One task definition, ready to be registered by whichever way."""

    family: str
    cpu: int
    memory: int
    architecture: str
    execution_role_arn: str
    task_role_arn: str
    container_definitions: tuple[containers.Definition, ...]
    ephemeral_gib: int | None = None

    def request(self) -> dict[str, Any]:
        """Return the task definition as ECS's own API takes it (RegisterTaskDefinition)."""
        found: dict[str, Any] = {
            "family": self.family,
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": str(self.cpu),
            "memory": str(self.memory),
            "runtimePlatform": {"cpuArchitecture": self.architecture, "operatingSystemFamily": "LINUX"},
            "executionRoleArn": self.execution_role_arn,
            "taskRoleArn": self.task_role_arn,
            "containerDefinitions": list(self.container_definitions),
            "volumes": [{"name": name} for name in sorted(containers.VOLUMES)],
        }
        if self.ephemeral_gib is not None:
            found["ephemeralStorage"] = {"sizeInGiB": self.ephemeral_gib}
        return found


def describe_server(settings: Settings, naming: Naming, reached: Reached, *, artifacts: str) -> ServerDescription:
    """Return the server as it is described for every target, with this backend's addresses.

    `artifacts` is MLflow's artifact destination.
    """
    return describe(
        server_inputs(
            settings,
            public_url=reached.public_url,
            host="0.0.0.0",  # noqa: S104 - the task's own address is not known here, and its security group is the fence
            port=SERVER_PORT,
            database=DatabaseAddress(
                host=reached.database_host,
                port=reached.database_port,
                name=database_name(settings),
                user=settings.aws.database.user,
                password=DATABASE_PASSWORD,
                tls_ca=DATABASE_CA,
            ),
            artifacts=ArtifactStore(destination=artifacts, region=naming.region),
            cache=cache_address(settings, reached),
            access=access_control(settings, reached),
        )
    )


def server_task(settings: Settings, naming: Naming, reached: Reached, *, store: Store) -> TaskDefinition:
    """Return the server's task definition. Raises Refused for what the version cannot do."""
    identity = {containers.SETTINGS_LABEL: release_identity(settings, naming)}
    return _server_task(settings, naming, reached, store=store, labels=identity)


def release_identity(settings: Settings, naming: Naming) -> str:
    """Return the identity of the release that settings describe, by which a failed one is blocked.

    A digest over exactly what the server's task is given. Addresses, ARNs and versions that AWS draws have a name of
    their own in it: they are known after the first update only, and are no other release.
    """
    drawn = SecretSource(arn="drawn", key="")
    existing, secrets = settings.aws.database.secret, settings.aws.cache.secret
    described = Reached(
        image=settings.server.image or "",
        public_url=public_url(settings, "balancer"),
        database_host=settings.database.existing or "database",
        database_port=0,
        cache_host=settings.cache.existing or "cache",
        cache_port=0,
        database_secret=SecretSource(arn=existing, key="password") if existing else drawn,
        server_secret=drawn,
        cache_secret=SecretSource(arn=secrets, key="url") if secrets else drawn,
        execution_role_arn="",
        task_role_arn="",
        keys_secret=drawn.arn,
    )
    task = _server_task(settings, naming, described, store=storage.store(settings, naming), labels={})
    return hashlib.sha256(json.dumps(task.request(), sort_keys=True).encode()).hexdigest()[:16]


def _server_task(
    settings: Settings, naming: Naming, reached: Reached, *, store: Store, labels: Mapping[str, str]
) -> TaskDefinition:
    description = describe_server(settings, naming, reached, artifacts=storage.destination(store))
    cpu, memory = fargate_size(cpu=settings.server.cpu, memory=settings.server.memory, need_mib=description.memory_mib)
    container = Container(
        name=SERVER,
        image=reached.image,
        command=description.argv,
        environment={**description.environment, "TMPDIR": containers.SPOOL},
        secrets=containers.secret_sources(description.secret_environment, **_sources(settings, reached)),
        logs=Logs(group=naming.log_group(SERVER), region=naming.region, prefix=SERVER),
        stop_timeout_s=stop_timeout(description.stop_timeout_s),
        port=description.port,
        health=containers.health_command(
            port=description.port, liveness=description.liveness, readiness=description.readiness
        ),
        probe=description.liveness,
        labels={containers.VERSION_LABEL: settings.server.mlflow_version, **labels},
        registry_secret=settings.aws.registry_secret,
    )
    return TaskDefinition(
        family=naming.family(SERVER),
        cpu=cpu,
        memory=memory,
        architecture=settings.aws.architecture,
        execution_role_arn=reached.execution_role_arn,
        task_role_arn=reached.task_role_arn,
        container_definitions=(containers.definition(container),),
        ephemeral_gib=SPOOL_GIB,
    )


def database_task(
    settings: Settings, naming: Naming, reached: Reached, *, store: Store, admin_secret: SecretSource | None
) -> TaskDefinition:
    """Return the definition of the one-shot task that reads, migrates, dumps and restores the database.

    It has the server's own environment, so that both mean the same database, and besides the keys in force the former
    ones: a restored dump is re-encrypted. `admin_secret` is where RDS keeps the
    instance's master user, who makes the server's role; None for an adopted database, whose owner made it. The command
    here only reads: each run names its own.
    """
    description = describe_server(settings, naming, reached, artifacts=storage.destination(store))
    encryption = {**keys.VARIABLES, keys.FORMER_VARIABLE: keys.FORMER}
    secrets = {"PGPASSWORD": reached.database_secret} | {
        variable: replace(reached.server_secret, key=name) for variable, name in encryption.items()
    }
    if admin_secret is not None:
        secrets |= {
            "MLFLOW_BACKEND_ADMIN_USER": SecretSource(arn=admin_secret.arn, key="username"),
            "MLFLOW_BACKEND_ADMIN_PASSWORD": SecretSource(arn=admin_secret.arn, key="password"),
        }
    dumps = f"s3://{store.bucket}/{store.prefix(BACKEND)}/dumps"
    return _one_shot(
        settings,
        naming,
        reached,
        Container(
            name=DATABASE,
            image=reached.image,
            command=(*DATABASE_TOOL, "status"),
            environment={**description.environment, "MLFLOW_BACKEND_DUMPS": dumps, "TMPDIR": containers.SPOOL},
            secrets=secrets,
            logs=Logs(group=naming.log_group(TASKS), region=naming.region, prefix=DATABASE),
            stop_timeout_s=LONGEST_FARGATE_STOP_S,
            labels={containers.VERSION_LABEL: settings.server.mlflow_version},
            registry_secret=settings.aws.registry_secret,
        ),
    )


def verify_task(settings: Settings, naming: Naming, reached: Reached) -> TaskDefinition:
    """Return the definition of the one-shot task that verifies from inside the network.

    Each run names its command: what is checked comes with it (mlflow_backend/verification/inside.py).
    """
    server = reached.server_secret
    sources = {variable: replace(server, key=key) for variable, key in PROBE.get(settings.access.mode, {}).values()}
    return _one_shot(
        settings,
        naming,
        reached,
        Container(
            name=VERIFY,
            image=reached.image,
            command=("python", "--version"),
            environment={
                "AWS_DEFAULT_REGION": naming.region,
                "AWS_REGION": naming.region,
                "PYTHONUNBUFFERED": "1",
                "TMPDIR": containers.SPOOL,
            },
            secrets=sources,
            logs=Logs(group=naming.log_group(TASKS), region=naming.region, prefix=VERIFY),
            stop_timeout_s=LONGEST_FARGATE_STOP_S,
            labels={containers.VERSION_LABEL: settings.server.mlflow_version},
            registry_secret=settings.aws.registry_secret,
        ),
    )


def _one_shot(settings: Settings, naming: Naming, reached: Reached, container: Container) -> TaskDefinition:
    return TaskDefinition(
        family=naming.family(container.name),
        cpu=TASK_CPU,
        memory=_TASK_MEMORY_MIB,
        architecture=settings.aws.architecture,
        execution_role_arn=reached.execution_role_arn,
        task_role_arn=reached.task_role_arn,
        container_definitions=(containers.definition(container),),
    )


def access_control(settings: Settings, reached: Reached) -> AccessControl:
    """Return who may call the server."""
    mode = settings.access.mode
    if mode == "token":
        return AccessControl(
            mode=mode, keys=reached.keys_secret, requests_per_minute=settings.access.requests_per_minute
        )
    return AccessControl(mode="basic" if mode == "basic" else "none")


def cache_address(settings: Settings, reached: Reached) -> CacheAddress:
    """Return the cache's address; an adopted one is held to TLS by its URL's scheme, a created one always."""
    existing = settings.cache.existing
    return CacheAddress(
        host=reached.cache_host,
        port=reached.cache_port,
        password=CACHE_TOKEN,
        tls=existing is None or existing.startswith("rediss://"),
    )


def _sources(settings: Settings, reached: Reached) -> dict[str, dict[str, SecretSource]]:
    server = reached.server_secret
    own = {name: replace(server, key=name) for name in SERVER_SECRETS}
    return {
        "single": {**own, DATABASE_PASSWORD: reached.database_secret},
        "composed": {cache_url(cache_address(settings, reached)).text: reached.cache_secret},
    }
