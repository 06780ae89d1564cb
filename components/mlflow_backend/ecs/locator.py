"""The locator of a backend on ECS, by which it is found without Pulumi. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render.database import own_instance
from mlflow_backend.aws.render.network import tasks_call_balancer
from mlflow_backend.aws.render.policies import S3Root
from mlflow_backend.ecs.history import ServiceName
from mlflow_backend.ecs.oneshot import Network  # noqa: TC001 - the codec reads it while the program runs
from mlflow_backend.ecs.render.scheduled import VERIFY
from mlflow_backend.ecs.render.tasks import DATABASE, SERVER, TASKS
from mlflow_backend.hosted import HostedLocator
from mlflow_backend.schedules import BACKUP, MAINTENANCE

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class EcsLocator(HostedLocator):
    """A backend on ECS: its service, its store, its one-shot tasks and where they run, and how users call it.

    The tasks are named by their families, not by a revision: a preview of a new image must still be able to read what
    the backend is. `secret` is the ARN of the server's secret. `database` is the identifier of the RDS instance that
    the stack made, empty for an adopted database. `backup_family` is empty without backups,
    `maintenance_family` if no task can call the balancer, and `api_keys`, the name of the secret with the hashes of API
    keys, unless access is by them.
    `profile` and `role` are those of its `Connection`.
    """

    kind = "ecs"
    kept_in = S3Root
    service: ServiceName
    server_family: str
    database_family: str
    verify_family: str
    tasks_logs: str
    network: Network
    secret: str
    database: str = ""
    backup_family: str = ""
    maintenance_family: str = ""
    api_keys: str = ""
    profile: str | None = None
    role: str | None = None

    @property
    def connection(self) -> Connection:
        """How AWS is reached for it."""
        return Connection(self.service.region, self.profile, self.role)

    def family(self, part: str) -> str:
        """Return the family of a part's task definitions, empty for a one-shot task that the backend does not have."""
        return {
            SERVER: self.server_family,
            DATABASE: self.database_family,
            VERIFY: self.verify_family,
            BACKUP: self.backup_family,
            MAINTENANCE: self.maintenance_family,
        }[part]

    def reference(self, secret: str) -> str:
        """Return the reference to one of the server's secrets."""
        return f"secretsmanager:{self.secret}#{secret}"


def locator_of(  # noqa: PLR0913 - what a locator says, by name
    settings: Settings,
    naming: Naming,
    connection: Connection,
    *,
    store: S3Root,
    network: Network,
    url: str,
    secret: str,
) -> EcsLocator:
    """Return the locator of the backend whose parts have the names of `naming`."""
    return EcsLocator(
        stack=naming.stack,
        service=ServiceName(region=naming.region, cluster=naming.cluster(), service=naming.service()),
        bucket=store.bucket,
        root=store.root,
        server_family=naming.family(SERVER),
        database_family=naming.family(DATABASE),
        verify_family=naming.family(VERIFY),
        tasks_logs=naming.log_group(TASKS),
        network=network,
        url=url,
        secret=secret,
        access=settings.access.mode,
        inside=settings.aws.network.internal,
        database=own_instance(settings, naming),
        backup_family=naming.family(BACKUP) if settings.backup.destination is not None else "",
        maintenance_family=naming.family(MAINTENANCE) if tasks_call_balancer(settings) else "",
        api_keys=naming.secret("api-keys") if settings.access.mode == "token" else "",
        profile=connection.profile,
        role=connection.role,
    )
