"""The schedules of a backend's one-shot jobs, as documents of Cloud Scheduler. Pure.

Each is started as the account that the job runs as itself, which may run this job with no other arguments than its own:
one account less, and nothing that it could not do anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.gcp.render.identity import VERIFIER
from mlflow_backend.report.quantities import MONTH, Billing, one
from mlflow_backend.schedules import by_part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

API: Final = "cloudscheduler.googleapis.com"
_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
# Of a call that failed; one whose answer was lost may start two executions: of two backups the lock lets one work.
_RETRIES: Final = 3
_PAUSE_S: Final = 60
BILLING: Final[Mapping[str, Billing]] = {
    "gcp:cloudscheduler/job:Job": Billing(
        counted=one("gcp-scheduler-job", "Cloud Scheduler job", "job", MONTH),
        by_use=("executions that it starts",),
    ),
}


def schedules(settings: Settings) -> dict[str, str]:
    """Return the schedule of cron by the job that it starts."""
    return by_part(settings, verification=VERIFIER)


def job(settings: Settings, naming: Naming, part: str) -> dict[str, Any]:
    """Return the body of the scheduler's job that runs a job of Cloud Run.

    Cloud Scheduler reads five fields of cron as this project does ('Cron job format and time zone').
    """
    name = naming.job(part)
    return {
        "name": name,
        "description": f"{naming.service()}: {part}",
        "schedule": schedules(settings)[part],
        "timeZone": "Etc/UTC",
        "retryConfig": {"retryCount": _RETRIES, "minBackoffDuration": f"{_PAUSE_S}s"},
        "httpTarget": {
            "httpMethod": "POST",
            "uri": f"https://run.googleapis.com/v2/{naming.parent}/jobs/{name}:run",
            "oauthToken": {"serviceAccountEmail": naming.email(part), "scope": _SCOPE},
        },
    }
