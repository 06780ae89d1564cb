"""The maintenance of a backend that is not on this machine, by a one-shot task, as its schedule starts it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup import job
from mlflow_backend.backup.maintain_job import DEADLINE_S
from mlflow_backend.codec import from_document
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused
from mlflow_backend.logged import is_whole
from mlflow_backend.maintenance import Maintained
from mlflow_backend.schedules import MAINTENANCE

if TYPE_CHECKING:
    from mlflow_backend.target import Finished, TaskPlatform


class TaskMaintenance:
    """See target.Maintenance."""

    def __init__(self, platform: TaskPlatform) -> None:
        """Name the backend; nothing is asked yet."""
        self._platform = platform

    def maintain(self, *, keep_deleted_days: int, dry_run: bool) -> Maintained:
        """Do it by a task, or say what would be done; a backup under way is not waited for."""
        if self._platform.serving() is None:
            raise Refused(
                "No server of the stack runs, and artifacts are removed by it.",
                code="maintain-task-not-serving",
                fix="Run `make up STACK=STACK`.",
            )
        if (found := self._platform.task_of(MAINTENANCE)) is None:
            raise Refused(
                "The stack has no task that maintains it: no update has made it yet, or none could call its servers.",
                code="maintain-no-task",
                fix="Run `make up STACK=STACK`, or see docs/runbooks/maintenance.md for its target.",
            )
        task, command, part = found
        chosen = ("--wait", "0", "--keep-deleted-days", str(keep_deleted_days), *(["--dry-run"] if dry_run else []))
        return _maintained(task.run((*command, *chosen), deadline_s=DEADLINE_S, complete=is_whole), part=part)

    def remove(self, name: str, *, dry_run: bool) -> int:
        """Refuse: what a mistyped name means is seen on this machine, and not in a task."""
        del dry_run
        raise Refused(
            "Dumps and artifacts are removed by name on this machine only.",
            code="maintain-task-by-name",
            fix="Delete the object from the bucket by its own tools.",
            part=name,
        )


def _maintained(ended: Finished, *, part: str) -> Maintained:
    """Return what a task's report says. Raises Refused and PlatformFailed for one that says why it did not."""
    report = job.report_of(ended, part=part)
    if "error" in report:
        kind = Refused if report["exit_code"] == ExitCode.REFUSED else PlatformFailed
        raise kind(str(report["error"]), code=str(report["code"]))
    return from_document(Maintained, report["maintained"])
