"""The maintenance of a backend in a cluster, by a Job, as the CronJob does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup.task_maintenance import TaskMaintenance
from mlflow_backend.kubernetes.naming import MAINTENANCE
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.render.maintenance import COMMAND

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.kubernetes.platform import KubernetesPlatform


class KubernetesMaintenance(TaskMaintenance):
    """See target.Maintenance."""

    _platform: KubernetesPlatform

    def task(self) -> tuple[KubernetesJob, Sequence[str], str]:
        """Return the Job."""
        found = KubernetesJob(api=self._platform.api, template=self._platform.naming.part(MAINTENANCE))
        return found, COMMAND, found.template
