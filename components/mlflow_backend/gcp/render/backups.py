"""Where a stack's backups are in Cloud Storage, and the job of Cloud Scheduler that has them taken. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.gcp.render.identity import BACKUP
from mlflow_backend.gcp.root import Store
from mlflow_backend.report.quantities import MONTH, Billing, one
from mlflow_backend.schedules import NEVER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

API: Final = "cloudscheduler.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
# Of a call that failed; one whose answer was lost may start two executions, of which the lock of backups lets one work.
_RETRIES: Final = 3
_PAUSE_S: Final = 60
BILLING: Final[Mapping[str, Billing]] = {
    "gcp:cloudscheduler/job:Job": Billing(
        counted=one("gcp-scheduler-job", "Cloud Scheduler job", "job", MONTH),
        by_use=("executions that take backups, and objects at their destination",),
    ),
}


def destination(settings: Settings, stack: str) -> Store:
    """Return the root of a stack's backups, which `backup.destination` names; only for a stack that is backed up."""
    return Store.at(str(settings.backup.destination), stack)


def is_scheduled(settings: Settings) -> bool:
    """Return whether backups are taken by themselves."""
    return settings.backup.destination is not None and settings.backup.schedule != NEVER


def schedule(settings: Settings, naming: Naming) -> dict[str, Any]:
    """Return the body of the scheduler's job: it runs the Cloud Run job as the account that this runs as itself.

    Cloud Scheduler reads five fields of cron as this project does ('Cron job format and time zone').
    """
    name = naming.job(BACKUP)
    return {
        "name": name,
        "description": f"{naming.service()}: backup",
        "schedule": settings.backup.schedule,
        "timeZone": "Etc/UTC",
        "retryConfig": {"retryCount": _RETRIES, "minBackoffDuration": f"{_PAUSE_S}s"},
        "httpTarget": {
            "httpMethod": "POST",
            "uri": f"https://run.googleapis.com/v2/{naming.parent}/jobs/{name}:run",
            "oauthToken": {"serviceAccountEmail": naming.email(BACKUP), "scope": _SCOPE},
        },
    }
