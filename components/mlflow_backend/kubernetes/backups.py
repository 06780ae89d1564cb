"""Backups of a backend in a cluster: taken by a Job, as the CronJob takes them, and how the schedule goes."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.kubernetes.naming import BACKUP
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.render import backups
from mlflow_backend.logged import is_whole, split
from mlflow_backend.schedules import following

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.kubernetes.platform import KubernetesPlatform

_DRY_RUN = "--dry-run"


def taken(platform: KubernetesPlatform, *, dry_run: bool = False) -> dict[str, Any]:
    """Take a backup by a Job, and return its report: the exit code, and the backup's manifest or the error.

    Raises PlatformFailed if the Job cannot be run, or ended without a report.
    """
    task = KubernetesJob(api=platform.api, template=platform.naming.part(BACKUP))
    command = (*backups.COMMAND, *([_DRY_RUN] if dry_run else []))
    ended = task.run(command, deadline_s=backups.DEADLINE_S, complete=is_whole)
    output, log = split(ended.lines)
    try:
        return dict(json.loads(output))
    except ValueError:
        words = "; ".join((*ended.reasons, *log.splitlines()[-5:])) or "it said nothing"
        raise PlatformFailed(
            f"the Job ended with {ended.exit_code} and without a report: {words}",
            code="backup-job-without-report",
            fix="Fix that, and repeat",
            part=task.template,
        ) from None


def schedules(platform: KubernetesPlatform) -> Mapping[str, str]:
    """Return in a few words how the scheduled backups went, by name; nothing if none are taken."""
    found = platform.api.get("CronJob", platform.naming.part(BACKUP))
    return {} if found is None else {BACKUP: described(found, datetime.now(UTC))}


def described(cron_job: Mapping[str, Any], now: datetime) -> str:
    """Return when a CronJob last began, when its work was last done, and when it is due next."""
    status = cron_job.get("status") or {}
    began, done = status.get("lastScheduleTime", "never yet"), status.get("lastSuccessfulTime", "never yet")
    if cron_job["spec"].get("suspend"):
        return f"last begun {began}, last done {done}; suspended"
    return f"last begun {began}, last done {done}; next {following(cron_job['spec']['schedule'], now):%F %H:%M}Z"
