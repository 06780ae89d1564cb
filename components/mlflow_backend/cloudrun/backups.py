"""Backups of a backend on Cloud Run (target.Backups): taken by a job, as its schedule starts it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup import job
from mlflow_backend.backup.source import no_task, not_built
from mlflow_backend.backup.tool import DEADLINE_S
from mlflow_backend.cloudrun import traffic
from mlflow_backend.cloudrun.oneshot import CloudRunJob
from mlflow_backend.gcp.api import RUN
from mlflow_backend.gcp.render.identity import BACKUP
from mlflow_backend.logged import is_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.cloudrun.platform import CloudRunPlatform


class CloudRunBackups:
    """See target.Backups: what restores them onto Cloud Run is not built yet."""

    as_deployed = True

    def __init__(self, platform: CloudRunPlatform) -> None:
        """Take the backend's live side; nothing is asked yet."""
        self._platform, self.store = platform, platform.store
        self._name = platform.naming.job(BACKUP)

    def take(
        self, destination: Destination, *, recovery_key: str, dry_run: bool, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Take a backup by an execution of the job, which has destination and key from the last update."""
        del destination, recovery_key
        found = self._platform.run.job(self._name)
        if found is None:
            raise no_task()
        say("a job in the backend's network takes the backup")
        (container,) = found["template"]["template"]["containers"]
        command = (*container["command"], *container["args"], *([job.DRY_RUN] if dry_run else []))
        task = CloudRunJob(cloud_run=self._platform.run, job=self._name)
        return job.report_of(task.run(command, deadline_s=DEADLINE_S, complete=is_whole), part=self._name)

    def schedules(self) -> Mapping[str, str]:
        """Return how the last execution went."""
        run = self._platform.run
        last = (run.job(self._name) or {}).get("latestCreatedExecution")
        if not last:
            return {}
        found = run.api.get(RUN, f"v2/{run.naming.parent}/jobs/{self._name}/executions/{traffic.short(last['name'])}")
        return {} if found is None else {BACKUP: described(found)}

    def source(self) -> DeployedSource:
        """Refuse."""
        raise not_built(self._platform.target)


def described(execution: Mapping[str, Any]) -> str:
    """Return in a few words how an execution went."""
    begun = f"{datetime.fromisoformat(execution['createTime']).astimezone(UTC):%F %T}Z"
    if "completionTime" not in execution:
        return f"under way since {begun}"
    if execution.get("succeededCount"):
        return f"done, begun {begun}"
    return f"failed, begun {begun}: {'; '.join(traffic.reasons(execution)) or 'no reason'}"
