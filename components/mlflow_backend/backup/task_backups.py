"""Backups of a backend that is not on this machine, taken by a one-shot task, as its schedule starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.backup import job
from mlflow_backend.backup.tool import DEADLINE_S
from mlflow_backend.logged import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.target import Platform, Task


class TaskBackups:
    """See target.Backups; each platform names its task, and what a restore reads and writes of it."""

    as_deployed = True

    def __init__(self, platform: Platform, file: Path) -> None:
        """Take the backend's live side and the stack's file; nothing is asked yet."""
        self._platform, self._file, self.store = platform, file, platform.store

    def task(self) -> tuple[Task, Sequence[str], str]:
        """Return the task, the command that it runs, and the platform's name of it. Raises Refused if there is none."""
        raise NotImplementedError

    def take(
        self, destination: Destination, *, recovery_key: str, dry_run: bool, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Take a backup by the task, which has destination and key from the last update."""
        del destination, recovery_key
        task, command, part = self.task()
        say("a task in the backend's network takes the backup")
        ended = task.run((*command, *([job.DRY_RUN] if dry_run else [])), deadline_s=DEADLINE_S, complete=is_whole)
        return job.report_of(ended, part=part)
