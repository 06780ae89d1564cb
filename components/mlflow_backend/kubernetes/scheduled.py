"""The last and the next runs of the work that a backend's CronJobs do, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.kubernetes.naming import VERIFICATION
from mlflow_backend.schedules import BACKUP, MAINTENANCE, following

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.naming import Naming


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
