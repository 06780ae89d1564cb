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

    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.naming import Naming

_DRY_RUN = "--dry-run"


def taken(api: Api, naming: Naming, *, dry_run: bool = False) -> dict[str, Any]:
    """Take a backup by a Job, and return its report: the exit code, and the backup's manifest or the error.

    Raises PlatformFailed if the Job cannot be run, or ended without a report.
    """
    task = KubernetesJob(api=api, template=naming.part(BACKUP))
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


def schedules(api: Api, naming: Naming) -> Mapping[str, str]:
    """Return in a few words how the scheduled backups went, by name; nothing if none are taken."""
    found = api.get("CronJob", naming.part(BACKUP))
    return {} if found is None else {BACKUP: described(found, datetime.now(UTC))}


def described(cron_job: Mapping[str, Any], now: datetime) -> str:
    """Return how a CronJob's work went last, and when it is due next.

    The times of its status are all of one form, in UTC: the later one is the greater text.
    """
    status, spec = cron_job.get("status") or {}, cron_job["spec"]
    begun, done = status.get("lastScheduleTime", ""), status.get("lastSuccessfulTime", "")
    if status.get("active"):
        last = f"under way since {begun}"
    elif begun > done:
        last = f"failed, begun {begun}; last done {done or 'never yet'}"
    else:
        last = f"done {done}" if done else "never yet"
    due = "suspended" if spec.get("suspend") else f"next {following(spec['schedule'], now):%F %H:%M}Z"
    return f"{last}; {due}"
