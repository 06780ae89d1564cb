"""Backups of a backend in a cluster: taken by a Job, as the CronJob takes them, restored; how the schedule goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup.task_backups import TaskBackups
from mlflow_backend.kubernetes.naming import BACKUP, MAINTENANCE, VERIFICATION
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.render import backups
from mlflow_backend.schedules import following

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.platform import KubernetesPlatform


class KubernetesBackups(TaskBackups):
    """See target.Backups: whoever has the recovery key restores them from where they are."""

    _platform: KubernetesPlatform

    def task(self) -> tuple[KubernetesJob, Sequence[str], str]:
        """Return the Job, which has its destination and its key from the last update."""
        task = KubernetesJob(api=self._platform.api, template=self._platform.naming.part(BACKUP))
        return task, backups.COMMAND, task.template

    def schedules(self) -> Mapping[str, str]:
        """Return how the CronJob's work went."""
        return schedules(self._platform.api, self._platform.naming)

    def source(self) -> DeployedSource:
        """Return the backend as a restore sees it."""
        # A status asks for the schedules alone.
        from mlflow_backend.kubernetes.restoring import source_of  # noqa: PLC0415

        return source_of(self._platform, settings=self._file.read_bytes())


def schedules(api: Api, naming: Naming) -> Mapping[str, str]:
    """Return in a few words how the work of each schedule went, by its name."""
    known = {name: api.get("CronJob", naming.part(name)) for name in (BACKUP, MAINTENANCE, VERIFICATION)}
    return {name: described(found, datetime.now(UTC)) for name, found in known.items() if found is not None}


def described(cron_job: Mapping[str, Any], now: datetime) -> str:
    """Return how a CronJob's work went last, and when it is due next.

    The times of its status are all of one form, in UTC: the later one is the greater text.
    """
    status, spec = cron_job.get("status") or {}, cron_job["spec"]
    begun, done = status.get("lastScheduleTime", ""), status.get("lastSuccessfulTime", "")
    if status.get("active"):
        last = f"under way since {begun}"
    elif begun > done:
        last = f"failed, begun {begun}; {f'last done {done}' if done else 'none done on schedule yet'}"
    else:
        last = f"done {done}" if done else "none on schedule yet"
    due = "suspended" if spec.get("suspend") else f"next {following(spec['schedule'], now):%F %H:%M}Z"
    return f"{last}; {due}"
