"""The live side of a backend on ECS (target.Platform): its service, its one-shot tasks, its objects in S3.

The database is private, so every question to it is a one-shot task of half a minute.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws import parameters, secret_values
from mlflow_backend.aws.log_group import LogGroup
from mlflow_backend.aws.render.balancer import LONGEST_DEREGISTRATION_S, rollout_deadline
from mlflow_backend.aws.store import FETCH, S3Store
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.ecs import deployments
from mlflow_backend.ecs.history import EcsHistory, describe, find_service
from mlflow_backend.ecs.locator import EcsLocator
from mlflow_backend.ecs.logs import PARTS, EcsLogs
from mlflow_backend.ecs.oneshot import EcsTask
from mlflow_backend.ecs.reasons import STATES, known_tasks, outcome_of
from mlflow_backend.ecs.render.containers import VERSION_LABEL
from mlflow_backend.ecs.render.scheduled import VERIFY
from mlflow_backend.ecs.render.tasks import BACKED_UP, DATABASE, ONE_SHOTS
from mlflow_backend.ecs.scale import Scale
from mlflow_backend.hosted import HostedPlatform, StoreReader
from mlflow_backend.migrate.tool import DatabaseTool, TaskRunner
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.stores import DUMPS
from mlflow_backend.schedules import BACKUP
from mlflow_backend.target import LogPart, PartStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlflow_backend.aws.clients import Connections
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.target import Described, TaskAsDeployed

# Of any release: which `server.requestTimeout` it has is known to its own task definition only. A start that fails is
# reported by ECS long before.
_START_DEADLINE_S: Final = float(rollout_deadline(LONGEST_DEREGISTRATION_S))
# The task definitions that are looked through for one with a version's image, newest first.
_LOOKED_THROUGH: Final = 20
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class VerifyTask(StoreReader, EcsTask):
    """The one-shot task that verifies within the network (target.OneShot)."""

    fetch: str = FETCH


class EcsPlatform(HostedPlatform, EcsHistory):
    """One backend on ECS."""

    target = EcsLocator.kind
    start_deadline_s = _START_DEADLINE_S

    def __init__(self, locator: EcsLocator, connections: Connections) -> None:
        """Take the backend's locator; nothing is asked yet."""
        super().__init__(clients=connections.clients, name=locator.service)
        self.locator, self.s3 = locator, connections.store
        store = S3Store(self.s3, bucket=locator.bucket, root=locator.root)
        self.store: Store = store
        self.dumps, self.artifacts = store.address(DUMPS), store.address(ARTIFACTS)
        self.logs = EcsLogs(clients=connections.clients, locator=locator)
        self.scale = Scale(
            clients=connections.clients,
            scaling=connections.scaling,
            name=locator.service,
            journal=Journal(self.store, "scale"),
        )

    # The database.

    def tool(self, version: str | None) -> DatabaseTool:
        """Return the database tool in a version's image."""
        return DatabaseTool(TaskRunner(self.database_task(version)))

    def database_task(self, version: str | None) -> EcsTask:
        """Return the task that runs the tool in a version's image; in the newest one if none is named.

        Any version's tool can say where a schema is. Raises Refused if the version's task definition is gone.
        """
        return EcsTask.of(self.clients, self.locator, DATABASE, "" if version is None else self._definition(version))

    def _definition(self, version: str) -> str:
        family, ecs = self.locator.database_family, self.clients.ecs
        arn = ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]["taskDefinitionArn"]
        newest = deployments.identify(arn).number
        for number in range(newest, max(newest - _LOOKED_THROUGH, 0), -1):
            found = ecs.describe_task_definition(taskDefinition=f"{family}:{number}")["taskDefinition"]
            labels = found["containerDefinitions"][0].get("dockerLabels", {})
            if labels.get(VERSION_LABEL) == version and found.get("status") == "ACTIVE":
                return f"{family}:{number}"
        raise Refused(
            f"No task definition of MLflow {version} is active any more, so its database tool cannot run.",
            code="tool-version-gone",
            fix="Deploy that version again, or choose another.",
        )

    # The servers.

    def stop_servers(self) -> None:
        """End every task; autoscaling starts none."""
        self.scale.down()

    def start_servers(self, revision: str) -> None:
        """Let the service use a revision, whatever it deploys now."""
        self.activate(revision, force=True)
        self.scale.up()

    def describe(self, revision: str) -> Described:
        """Return what a task definition runs."""
        return describe(self.clients.ecs, self.locator.server_family, revision)

    def rotate_keys(self, *, lost: bool) -> str:
        """Draw new keys into another version of the servers' secret."""
        if lost:
            raise Refused(
                "Secrets Manager keeps the versions of the secret, so the keys are not lost.",
                code="keys-not-lost",
                fix="Restore the secret with `aws secretsmanager restore-secret`, and update.",
            )
        from mlflow_backend.aws import secrets  # noqa: PLC0415 - for this one command

        try:
            secrets.rotate_keys(self.locator.connection, self.locator.secret)
        except PlatformFailed as failure:
            raise Refused(
                str(failure), code="keys-not-rotated", fix="Deploy the stack with `pulumi up`, and repeat."
            ) from None
        return "New keys are drawn."

    # Verification, and what people ask.

    def secrets(self) -> Mapping[str, Callable[[str], tuple[str, str]]]:
        """Return Secrets Manager's, asked as the backend's account is."""
        return {"secretsmanager": partial(secret_values.read, self.locator.connection)}

    def verifier(self) -> VerifyTask:
        """Return the task that verifies within the network."""
        return VerifyTask.of(
            self.clients, self.locator, VERIFY, credentials=self.locator.credentials_inside, locator=self.locator
        )

    def count(self, verdict: str) -> None:
        """Put the line into the log group whose metric filter the alarm counts."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as mlflow_backend.aws.clients

        group = LogGroup(client=self.clients.logs, name=self.locator.tasks_logs)
        try:
            group.write(f"{VERIFY}/deployer/{uuid.uuid4().hex}", verdict)
        except (ClientError, BotoCoreError) as error:
            _log.warning("the red verdict was not counted for the alarm: %s", type(error).__name__)

    def parts(self) -> Iterator[PartStatus]:
        """Return the service's tasks, and what of the database waits for a restart."""
        service = find_service(self.clients, self.name)
        if service is None:
            return
        desired, running = service["desiredCount"], service["runningCount"]
        yield PartStatus(name="service", state=f"{running} of {desired} tasks run", runs=0 < desired <= running)
        for state in parameters.waiting(self.locator.database, self.locator.connection):
            yield PartStatus(name="database", state=state)
        for name, state in self.schedules().items():
            yield PartStatus(name=name, state=state)

    # What one-shot tasks do, by a schedule or by a command.

    def task_of(self, part: str) -> TaskAsDeployed | None:
        """Return the task of a part, which has its job from the last update."""
        if not (family := self.locator.family(part)):
            return None
        task = EcsTask.of(self.clients, self.locator, part)
        return task, task.own_command(), family

    def schedules(self) -> Mapping[str, str]:
        """Return how the last backup on a schedule went that ECS still knows."""
        if not (family := self.locator.backup_family):
            return {}
        cluster = self.locator.service.cluster
        found = [each for state in STATES for each in known_tasks(self.clients, cluster, state, family=family)]
        if not found:
            return {BACKUP: "no task of the last hour is known; the newest backup says how the last one went"}
        return {BACKUP: outcome_of(max(found, key=lambda each: each.get("createdAt", _LONG_AGO)))}

    def source(self, settings: bytes) -> DeployedSource:
        """Return the backend as a restore sees it."""
        # A status asks for the schedules alone.
        from mlflow_backend.aws.restoring import source_of  # noqa: PLC0415
        from mlflow_backend.aws.vault import SecretVault  # noqa: PLC0415

        locator = self.locator
        vault = SecretVault(
            connection=locator.connection, names=BACKED_UP, secret=locator.secret, api_keys=locator.api_keys
        )
        return source_of(self, task=self.database_task(None), vault=vault, settings=settings)

    def log_parts(self) -> tuple[LogPart, ...]:
        """Return the server and the one-shot tasks."""
        return tuple(LogPart(name=part, one_shot=part in ONE_SHOTS) for part in PARTS)

    def tails(self, part: str, *, lines: int) -> Iterable[str]:
        """Return the last lines of a part's last tasks, from CloudWatch."""
        return self.logs.tails(part, lines=lines)

    def audit(self) -> Iterable[str]:
        """Return the servers' lines with the word audit in them."""
        return self.logs.audit()
