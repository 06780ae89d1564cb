"""Backups of a backend on ECS (target.Backups): taken by a one-shot task, as its schedule starts it, and restored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup import job
from mlflow_backend.backup.source import no_task
from mlflow_backend.backup.tool import DEADLINE_S
from mlflow_backend.ecs.database_task import database_task
from mlflow_backend.ecs.oneshot import EcsTask
from mlflow_backend.ecs.reasons import STATES, known_tasks
from mlflow_backend.ecs.render.backups import BACKUP, SECRETS
from mlflow_backend.hosted import ARTIFACTS
from mlflow_backend.logged import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.ecs.platform import EcsPlatform


class EcsBackups:
    """See target.Backups: tasks take them, and whoever has the recovery key restores them from where they are."""

    as_deployed = True

    def __init__(self, platform: EcsPlatform, file: Path) -> None:
        """Take the backend's live side and the stack's file; nothing is asked yet."""
        self._platform, self._file, self.store = platform, file, platform.store

    def take(
        self, destination: Destination, *, recovery_key: str, dry_run: bool, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Take a backup by a task, which has destination and key from the last update."""
        del destination, recovery_key
        clients, locator = self._platform.clients, self._platform.locator
        if not locator.backup_family:
            raise no_task()
        say("a task in the backend's network takes the backup")
        task = EcsTask.of(clients, locator, locator.backup_family, BACKUP)
        command = (*task.own_command(), *([job.DRY_RUN] if dry_run else []))
        ended = task.run(command, deadline_s=DEADLINE_S, complete=is_whole)
        return job.report_of(ended, part=locator.backup_family)

    def schedules(self) -> Mapping[str, str]:
        """Return how the last task went that ECS still knows."""
        return schedules(self._platform)

    def source(self) -> DeployedSource:
        """Return the backend as a restore sees it."""
        # A status asks for the schedules alone.
        from mlflow_backend.aws.backups import BucketArtifacts, BucketDestination  # noqa: PLC0415
        from mlflow_backend.aws.vault import SecretVault  # noqa: PLC0415
        from mlflow_backend.backup import hosted  # noqa: PLC0415
        from mlflow_backend.deployed import DeployedBackend  # noqa: PLC0415

        platform, locator = self._platform, self._platform.locator
        s3 = platform.s3
        return hosted.source_of(
            DeployedBackend(platform),
            task=database_task(platform.clients, locator, None),
            artifacts=BucketArtifacts(s3, bucket=locator.bucket, root=locator.store.prefix(ARTIFACTS)),
            vault=SecretVault(
                connection=locator.connection, secret=locator.secret, names=SECRETS, api_keys=locator.api_keys
            ),
            own=BucketDestination(s3, bucket=locator.bucket, root=locator.root),
            stack=locator.stack,
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
