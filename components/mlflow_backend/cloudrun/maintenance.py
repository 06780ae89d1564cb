"""The maintenance of a backend on Cloud Run, by a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup.task_maintenance import TaskMaintenance
from mlflow_backend.cloudrun.oneshot import CloudRunJob
from mlflow_backend.contract import Refused
from mlflow_backend.gcp.render.identity import MAINTENANCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.cloudrun.platform import CloudRunPlatform


class CloudRunMaintenance(TaskMaintenance):
    """See target.Maintenance."""

    _platform: CloudRunPlatform

    def task(self) -> tuple[CloudRunJob, Sequence[str], str]:
        """Return the job, which has its tool from the last update; a backup under way is not waited for."""
        run, name = self._platform.run, self._platform.naming.job(MAINTENANCE)
        if (found := run.job(name)) is None:
            raise Refused(
                "The stack has no job that maintains it: no update has made it yet, or its client cannot pass Google's "
                "check.",
                code="maintain-no-job",
                fix="Run `make up STACK=STACK`, or see docs/runbooks/maintenance.md for cloudrun.",
            )
        (container,) = found["template"]["template"]["containers"]
        task = CloudRunJob(cloud_run=run, job=name)
        return task, (*container["command"], *container["args"], "--wait", "0"), name
