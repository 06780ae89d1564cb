"""Backups of a backend on ECS (target.Backups): taken by a one-shot task, as its schedule starts it, and restored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup.source import no_task
from mlflow_backend.backup.task_backups import TaskBackups
from mlflow_backend.ecs.database_task import database_task
from mlflow_backend.ecs.oneshot import EcsTask
from mlflow_backend.ecs.reasons import STATES, known_tasks
from mlflow_backend.ecs.render.backups import BACKUP, SECRETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.ecs.platform import EcsPlatform


class EcsBackups(TaskBackups):
    """See target.Backups: whoever has the recovery key restores them from where they are."""

    _platform: EcsPlatform

    def task(self) -> tuple[EcsTask, Sequence[str], str]:
        """Return the task, which has its job from the last update."""
        locator = self._platform.locator
        if not (family := locator.backup_family):
            raise no_task()
        task = EcsTask.of(self._platform.clients, locator, family, BACKUP)
        return task, task.own_command(), family

    def schedules(self) -> Mapping[str, str]:
        """Return how the last task went that ECS still knows."""
        return schedules(self._platform)

    def source(self) -> DeployedSource:
        """Return the backend as a restore sees it."""
        # A status asks for the schedules alone.
        from mlflow_backend.aws.restoring import source_of  # noqa: PLC0415
        from mlflow_backend.aws.vault import SecretVault  # noqa: PLC0415

        locator = self._platform.locator
        return source_of(
            self._platform,
            task=database_task(self._platform.clients, locator, None),
            vault=SecretVault(
                connection=locator.connection,
                names=SECRETS,
                secret=locator.secret,
                api_keys=locator.api_keys,
            ),
            settings=self._file.read_bytes(),
        )


def schedules(platform: EcsPlatform) -> Mapping[str, str]:
    """Return how the last task of each schedule went that ECS still knows, by its name."""
    locator, clients = platform.locator, platform.clients
    if not (family := locator.backup_family):
        return {}
    found = [task for each in STATES for task in known_tasks(clients, locator.service.cluster, each, family=family)]
    if not found:
        return {BACKUP: "no task of the last hour is known; the newest backup says how the last one went"}
    newest = max(found, key=lambda each: each.get("createdAt", datetime.min.replace(tzinfo=UTC)))
    return {BACKUP: described(newest)}


def described(task: Mapping[str, Any]) -> str:
    """Return in a few words how a task went."""
    begun = f"{task['createdAt'].astimezone(UTC):%F %T}Z"
    if task["lastStatus"] != "STOPPED":
        return f"under way since {begun}"
    code = next((each.get("exitCode") for each in task.get("containers", [])), None)
    if code == 0:
        return f"done, begun {begun}"
    return f"failed, begun {begun} (exit code {code}): {task.get('stoppedReason', 'no reason')}"
