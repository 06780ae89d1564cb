"""The maintenance of a backend on ECS, by a one-shot task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup.task_maintenance import TaskMaintenance
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.oneshot import EcsTask
from mlflow_backend.ecs.render.maintenance import MAINTENANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.ecs.platform import EcsPlatform


class EcsMaintenance(TaskMaintenance):
    """See target.Maintenance."""

    _platform: EcsPlatform

    def task(self) -> tuple[EcsTask, Sequence[str], str]:
        """Return the task, which has its job from the last update."""
        locator = self._platform.locator
        if not (family := locator.maintenance_family):
            raise Refused(
                "The stack has no task that maintains it: its load balancer cannot be called from its own network.",
                code="maintain-no-task",
                fix="See docs/runbooks/maintenance.md for ecs.",
            )
        task = EcsTask.of(self._platform.clients, locator, family, MAINTENANCE)
        return task, task.own_command(), family
