"""The permissions of the deployer in the project, by Google's own names ('IAM permissions reference'). Pure.

Those of the data are asked of the project too: whoever deploys owns the backend's buckets and secrets by that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.gcp.render.scheduler import schedules

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

_VERBS: Final = ("create", "delete", "get", "update")
_POLICY: Final = ("getIamPolicy", "setIamPolicy")


def _each(resource: str, *verbs: str) -> tuple[str, ...]:
    return tuple(f"{resource}.{verb}" for verb in verbs)


DEPLOY: Final = (
    *_each("resourcemanager.projects", "get"),
    *_each("serviceusage.services", "enable", "get"),
    *_each("serviceusage.operations", "get"),
    *_each("run.services", *_VERBS, *_POLICY),
    *_each("run.revisions", "delete", "get", "list"),
    *_each("run.jobs", *_VERBS, "run", "runWithOverrides"),
    *_each("run.executions", "cancel", "get"),
    *_each("run.tasks", "list"),
    *_each("run.operations", "get"),
    *_each("iam.serviceAccounts", "actAs", *_VERBS),
    *_each("secretmanager.secrets", *_VERBS, *_POLICY),
    *_each("secretmanager.versions", "access", "add"),
    *_each("storage.buckets", *_VERBS, *_POLICY),
    *_each("storage.objects", "create", "delete", "get", "list"),
    *_each("cloudsql.instances", *_VERBS, "list"),
    *_each("cloudsql.users", "update"),
    *_each("redis.clusters", "list"),
    *_each("redis.instances", *_VERBS, "getAuthString", "list"),
    *_each("redis.operations", "get"),
    *_each("compute.networks", "create", "delete", "get", "removePeering"),
    *_each("compute.subnetworks", "create", "delete", "get", "use"),
    *_each("compute.globalAddresses", "createInternal", "deleteInternal", "get"),
    *_each("compute.globalOperations", "get"),
    *_each("compute.regionOperations", "get"),
    *_each("servicenetworking.operations", "get"),
    *_each("servicenetworking.services", "addPeering", "deleteConnection", "get"),
    *_each("logging.logEntries", "list"),
    *_each("monitoring.alertPolicies", *_VERBS),
    *_each("monitoring.notificationChannels", *_VERBS),
)
"""Of an update, a rollback and a verification of a backend that makes all of its parts."""
SCHEDULED: Final = (
    *_each("cloudscheduler.jobs", *_VERBS),
    *_each("run.jobs", *_POLICY),
)
"""Besides, if backups are taken on a schedule."""


def wanted(settings: Settings) -> tuple[str, ...]:
    """Return what whoever deploys a stack has to be allowed."""
    return (*DEPLOY, *(SCHEDULED if schedules(settings) else ()))
