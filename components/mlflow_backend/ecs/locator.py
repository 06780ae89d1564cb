"""How a backend on ECS is found again without Pulumi. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render.policies import Store
from mlflow_backend.ecs.history import ServiceName
from mlflow_backend.ecs.oneshot import Network  # noqa: TC001 - the codec reads it while the program runs
from mlflow_backend.ecs.render.tasks import DATABASE, PROBE, SERVER, TASKS, VERIFY
from mlflow_backend.locator import Locator

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming


@dataclass(frozen=True, kw_only=True)
class EcsLocator(Locator):
    """A backend on ECS: its service, its store, its one-shot tasks and where they run, and how users call it.

    The tasks are named by their families, not by a revision: a preview of a new image must still be able to read what
    the backend is. `secret` is the ARN of the secret with the verification's login; `access` is the mode of access.
    `inside` is whether the URL can be called from the backend's network only. `database` is the identifier of the RDS
    instance that the stack made, empty for an adopted database. `profile` and `role` are those of its `Connection`.
    """

    kind = "ecs"
    service: ServiceName
    bucket: str
    root: str = ""
    server_family: str
    database_family: str
    verify_family: str
    tasks_logs: str
    network: Network
    url: str
    secret: str
    access: str = "basic"
    inside: bool = False
    database: str = ""
    profile: str | None = None
    role: str | None = None

    @property
    def connection(self) -> Connection:
        """How AWS is reached for it."""
        return Connection(self.service.region, self.profile, self.role)

    @property
    def store(self) -> Store:
        """The backend's root in its bucket."""
        return Store(bucket=self.bucket, root=self.root)

    @property
    def address(self) -> str:
        """The backend's root in its bucket, as a URL."""
        return f"s3://{self.bucket}/{self.root}".rstrip("/")

    @property
    def credentials(self) -> dict[str, str]:
        """Where verification finds the users' kind of login; references, never values."""
        probe = PROBE.get(self.access, {})
        return {name: f"secretsmanager:{self.secret}#{key}" for name, (_, key) in probe.items()}

    @property
    def credentials_inside(self) -> dict[str, str]:
        """Where verification finds it within its own task."""
        return {name: f"env:{variable}" for name, (variable, _) in PROBE.get(self.access, {}).items()}


def locator_of(  # noqa: PLR0913 - what a locator says, by name
    naming: Naming,
    connection: Connection,
    *,
    store: Store,
    network: Network,
    url: str,
    secret: str,
    access: str,
    inside: bool,
    database: str,
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
        access=access,
        inside=inside,
        database=database,
        profile=connection.profile,
        role=connection.role,
    )


def report_path(stack: str) -> Path:
    """Return where a copy of the last report of a stack is kept: below the folder that Pulumi or a command works in."""
    return Path.cwd() / ".backend" / stack / "verification.json"
