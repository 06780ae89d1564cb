"""A rollback of an ECS service that Pulumi does not manage: the same plan and steps, without ledger and without pin.

What is not known is not guessed: the schema is what a one-shot task or the person says, an MLflow version what the
revision's label or its image's tag says. The journal is on this machine, so that a killed rollback can be finished.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, NoReturn

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.ecs import deployments
from mlflow_backend.ecs.history import EcsHistory, container_of, definition_of
from mlflow_backend.ecs.oneshot import EcsTask, Network
from mlflow_backend.migrate.tool import DatabaseTool, TaskRunner
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.schema import Heads
from mlflow_backend.schema_tables import schema_table
from mlflow_backend.verify.subjects import Live, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.ecs.history import ServiceName
    from mlflow_backend.releases.stores import Store

# What MLflow's own clients read, as in scripts/verify.py.
_LOGINS: Final = (
    {"token": "MLFLOW_TRACKING_TOKEN"},
    {"username": "MLFLOW_TRACKING_USERNAME", "password": "MLFLOW_TRACKING_PASSWORD"},
)


class UnmanagedPlatform(EcsHistory):
    """One service of others, as far as a rollback needs it (target.Platform).

    It has no dumps, no ledger and no servers of this project's: a plan for it asks for none of these.
    """

    target = "ecs"
    dumps = artifacts = ""
    report: Path | None = None
    asks_at_once = True
    # Its circuit breaker, which would report earlier, is its owner's choice.
    start_deadline_s = 600.0

    def __init__(  # noqa: PLR0913 - what a person says about a service, by name
        self,
        name: ServiceName,
        *,
        clients: Clients,
        folder: Path,
        url: str | None = None,
        live_head: str | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Name the service; nothing is asked yet. `live_head` is what the person says that the database is at.

        `folder` is where the journals of such services are kept.
        """
        super().__init__(clients=clients, name=name)
        self._url, self._live_head, self._say = url, live_head, say
        self.store: Store = FileStore(folder / f"{name.region}-{name.cluster}-{name.service}")

    def heads(self) -> Heads | None:
        """Return the live schema heads: what the person said, else what the database tool in the serving image says."""
        if self._live_head is not None:
            return Heads(tracking=self._live_head)
        try:
            return DatabaseTool(TaskRunner(self._status_task())).status().heads
        except (PlatformFailed, Refused) as error:
            self._say(f"the database's schema is not known: {error} Say it with --live-head REV if you know it.")
            return None

    def start_servers(self, revision: str) -> None:
        """Make the service use a revision."""
        self.activate(revision, force=True)

    def stage(self, revision: str) -> None:
        """Return nothing: its deployment is the switch."""

    def subject(self, revision: str) -> Subject:
        """Return what is verified of this revision: the URL that was given, with the logins of MLflow's own clients."""
        known = container_of(self._definition(revision)).release(revision)
        logins = (
            {key: f"env:{name}" for key, name in login.items()}
            for login in _LOGINS
            if all(os.environ.get(name) for name in login.values())
        )
        return Subject(
            url=str(self._url),
            expected_version=known.mlflow_version if schema_table().required(known.mlflow_version) else None,
            expected_revision=revision,
            live=Live(
                running=lambda: self.serving() or "",
                no_heads="the database of a service that this project did not deploy is not asked",
            ),
            credentials=next(logins, {}),
            proxied_artifacts=False,
        )

    def not_ours(self, *_arguments: object, **_named: object) -> NoReturn:
        """Refuse what only a backend of this project has."""
        raise Refused(
            f"The service {self.name.service} is not managed by this project: it has no ledger, no dumps and no "
            "servers that may be stopped.",
            code="service-not-managed",
            fix="Deploy it with this project first.",
        )

    tool = describe = mark_store = row_counts = roots = stop_servers = not_ours
    inside = count = secrets = parts = log_parts = tails = audit = rotate_keys = not_ours

    def _definition(self, revision: str) -> Mapping[str, Any]:
        return definition_of(self.clients.ecs, deployments.family_of(self._service()), revision)

    def _status_task(self) -> EcsTask:
        """Return a task in the serving revision's own image, beside its tasks. Raises Refused."""
        service, serving = self._service(), self.serving()
        network = service.get("networkConfiguration", {}).get("awsvpcConfiguration")
        if network is None or serving is None:
            raise Refused("No task can be started beside it.", code="task-beside-service-impossible", fix="")
        definition = self._definition(serving)
        return EcsTask(
            clients=self.clients,
            cluster=self.name.cluster,
            task_definition=str(definition["taskDefinitionArn"]),
            container=str(definition["containerDefinitions"][0]["name"]),
            network=Network.of(network),
        )


def open_service(name: ServiceName, **more: Any) -> DeployedBackend:
    """Return a service of others, for a rollback (see UnmanagedPlatform)."""
    return DeployedBackend(UnmanagedPlatform(name, **more))
