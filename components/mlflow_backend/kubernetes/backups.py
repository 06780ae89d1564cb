"""Backups of a backend in a cluster: taken by a Job, as the CronJob takes them, restored; how the schedule goes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup import job
from mlflow_backend.backup.tool import DEADLINE_S
from mlflow_backend.kubernetes.naming import BACKUP, MAINTENANCE, VERIFICATION
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.render import backups
from mlflow_backend.logged import is_whole
from mlflow_backend.schedules import following

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.platform import KubernetesPlatform


class KubernetesBackups:
    """See target.Backups: Jobs take them, and whoever has the recovery key restores them from where they are."""

    as_deployed = True

    def __init__(self, platform: KubernetesPlatform, file: Path) -> None:
        """Take the backend's live side and the stack's file; nothing is asked yet."""
        self._platform, self._file, self.store = platform, file, platform.store

    def take(
        self, destination: Destination, *, recovery_key: str, dry_run: bool, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Take a backup by a Job, which has destination and key from the last update."""
        del destination, recovery_key
        say("a Job in the cluster takes the backup")
        task = KubernetesJob(api=self._platform.api, template=self._platform.naming.part(BACKUP))
        command = (*backups.COMMAND, *([job.DRY_RUN] if dry_run else []))
        ended = task.run(command, deadline_s=DEADLINE_S, complete=is_whole)
        return job.report_of(ended, part=task.template)

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
