"""Backups of a backend that is not on this machine, taken by a one-shot task, as its schedule starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.backup import job
from mlflow_backend.backup.source import no_task
from mlflow_backend.backup.tool import DEADLINE_S
from mlflow_backend.logged import is_whole
from mlflow_backend.schedules import BACKUP

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.target import TaskPlatform


class TaskBackups:
    """See target.Backups: whoever has the recovery key restores them from where they are."""

    as_deployed = True

    def __init__(self, platform: TaskPlatform, file: Path) -> None:
        """Take the backend's live side and the stack's file; nothing is asked yet."""
        self._platform, self._file, self.store = platform, file, platform.store

    def take(
        self, destination: Destination, *, recovery_key: str, dry_run: bool, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Take a backup by the task, which has destination and key from the last update. Raises Refused without one."""
        del destination, recovery_key
        if (found := self._platform.task_of(BACKUP)) is None:
            raise no_task()
        task, command, part = found
        say("a task in the backend's network takes the backup")
        ended = task.run((*command, *([job.DRY_RUN] if dry_run else [])), deadline_s=DEADLINE_S, complete=is_whole)
        return job.report_of(ended, part=part)

    def schedules(self) -> Mapping[str, str]:
        """Return how the work of each schedule went."""
        return self._platform.schedules()

    def source(self) -> DeployedSource:
        """Return the backend as a restore sees it."""
        return self._platform.source(self._file.read_bytes())
