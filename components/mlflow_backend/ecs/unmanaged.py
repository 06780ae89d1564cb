"""A rollback of an ECS service that Pulumi does not manage: the same plan and steps, without ledger and without pin.

What is not known is not guessed: the schema is what a one-shot task or the person says, an MLflow version what the
revision's label or its image's tag says. The journal lies on this machine, so that a killed rollback can be finished.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import os
import socket
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.ecs import deployments
from mlflow_backend.ecs.history import EcsHistory, ServiceName, release_of
from mlflow_backend.ecs.oneshot import DatabaseTask, Network, OneShot, OneShots
from mlflow_backend.ecs.render.tasks import DATABASE_TOOL
from mlflow_backend.migrate.tool import DatabaseTool
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.status import RollbackContext
from mlflow_backend.releases.stores import FileStore, lock_held
from mlflow_backend.schema import Heads
from mlflow_backend.schema_tables import schema_table
from mlflow_backend.verify import runner
from mlflow_backend.verify.subjects import Live, Subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.contract import WaitOutcome
    from mlflow_backend.releases.records import Dump, VerifiedRelease
    from mlflow_backend.verify.report import Report

# What MLflow's own clients read, as in scripts/verify.py.
_LOGINS: Final = (
    {"token": "MLFLOW_TRACKING_TOKEN"},
    {"username": "MLFLOW_TRACKING_USERNAME", "password": "MLFLOW_TRACKING_PASSWORD"},
)


class UnmanagedService:
    """One service (see releases.steps.RollbackTarget). `live_head` is what the person says that the database is at."""

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
        """Name the service; nothing is asked yet. `folder` is where its journal lies."""
        self._name, self._clients, self._say = name, clients, say
        self._url, self._live_head = url, live_head
        self._folder = folder / f"{name.region}-{name.cluster}-{name.service}"
        store = FileStore(self._folder)
        self.ledger = Ledger(store, by=f"{getpass.getuser()}@{socket.gethostname()}")
        self.rollback = Journal(store, "rollback", running=partial(lock_held, self._folder / "rollback.lock"))
        self.migration = Journal(store, "migration")
        self._history = EcsHistory(clients=clients, name=name)

    def rollback_context(self, *, verify_checksums: bool = True) -> RollbackContext:
        """Read what a plan needs; the schema is unknown where neither the person nor a task says it."""
        current = self._history.current()
        return RollbackContext(
            target="ecs",
            current=None if current is None else current.id,
            revisions=self._history.revisions(),
            live=self.heads() if verify_checksums else None,
            table=schema_table(),
            busy=self._history.busy(),
        )

    def heads(self) -> Heads | None:
        """Return the live schema heads: what the person said, else what the database tool in the serving image says."""
        if self._live_head is not None:
            return Heads(tracking=self._live_head)
        try:
            return DatabaseTool(self._status_task()).status().heads
        except (PlatformFailed, Refused) as error:
            self._say(f"the database's schema is not known: {error} Say it with --live-head REV if you know it.")
            return None

    @contextlib.contextmanager
    def rollback_lock(self) -> Iterator[None]:
        """Hold the lock of rollbacks on this machine. Raises Refused where another one holds it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self._folder / "rollback.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Refused(
                    "Another rollback of this service is running.",
                    code="service-rollback-running",
                    fix="Let it end, and repeat.",
                ) from None
            yield

    def serving(self) -> str | None:
        """Return the revision that answers users."""
        current = self._history.current()
        return None if current is None else current.id

    def start_server(self, revision: str) -> None:
        """Make the service use a revision."""
        self._history.activate(revision, force=True)

    def busy(self) -> str | None:
        """Say what is being deployed right now; None where nothing is."""
        return self._history.busy()

    def stop_deployment(self) -> None:
        """End what is being deployed."""
        self._history.stop_deployment()

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until the revision serves, with ECS's own reasons where it does not."""
        return self._history.wait(revision, deadline_s=deadline_s)

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Verify that this revision serves, through the URL that was given."""
        known = release_of(int(revision), self._definition(revision))
        logins = (
            {key: f"env:{name}" for key, name in login.items()}
            for login in _LOGINS
            if all(os.environ.get(name) for name in login.values())
        )
        subject = Subject(
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
        return runner.run(subject, profile=profile, deadline_s=deadline_s)

    # What only a backend of this project has; a plan for an unmanaged service asks for none of it.

    def restore(self, dump: Dump, version: str) -> None:
        """Refuse: there is no dump of this project's."""
        raise self._not_ours(f"the dump {dump.id} of MLflow {version} cannot be restored")

    def undo_restore(self) -> None:
        """Refuse: nothing was restored."""
        raise self._not_ours("nothing was restored")

    def stop_server(self) -> None:
        """Refuse: its servers are stopped for a restore only."""
        raise self._not_ours("its servers are not stopped")

    def losses(self, dump: Dump) -> dict[str, int]:
        """Refuse: there is no dump of this project's."""
        raise self._not_ours(f"the dump {dump.id} is not of it")

    def release(self, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        """Refuse: there is no ledger."""
        raise self._not_ours(f"revision {revision} ({verdict} {verification_id}) is recorded nowhere")

    def _not_ours(self, finding: str) -> Refused:
        return Refused(
            f"The service {self._name.service} is not managed by this project: {finding}.",
            code="service-not-managed",
            fix="",
        )

    def _definition(self, revision: str) -> Mapping[str, Any]:
        family = deployments.identify(self._service()["taskDefinition"]).family
        answer = self._clients.ecs.describe_task_definition(taskDefinition=f"{family}:{revision}")
        return dict(answer["taskDefinition"])

    def _service(self) -> Mapping[str, Any]:
        answer = self._clients.ecs.describe_services(cluster=self._name.cluster, services=[self._name.service])
        return dict(answer["services"][0])

    def _status_task(self) -> DatabaseTask:
        """Return the database tool in the serving revision's own image, beside its tasks. Raises Refused."""
        service, serving = self._service(), self.serving()
        lies = service.get("networkConfiguration", {}).get("awsvpcConfiguration")
        if lies is None or serving is None:
            raise Refused("No task can be started beside it.", code="task-beside-service-impossible", fix="")
        definition = self._definition(serving)
        shot = OneShot(
            cluster=self._name.cluster,
            task_definition=str(definition["taskDefinitionArn"]),
            container=str(definition["containerDefinitions"][0]["name"]),
            network=Network(
                subnets=tuple(lies["subnets"]),
                security_groups=tuple(lies.get("securityGroups", [])),
                public_address=lies.get("assignPublicIp") == "ENABLED",
            ),
        )
        return DatabaseTask(shots=OneShots(clients=self._clients, shot=shot), tool=DATABASE_TOOL)
