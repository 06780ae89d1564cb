"""The scheduled verification in a cluster: a tool with its job in a ConfigMap, and pods that run it. Pure.

It calls the Service: an Ingress and its certificate are verified by updates and by the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.backup import job, verify_job
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.kubernetes.naming import JOB, SERVER, VERIFICATION, VERIFY
from mlflow_backend.kubernetes.render import oneshot, server, stores
from mlflow_backend.kubernetes.render.scheduled import scheduled
from mlflow_backend.server import allowed_callers, login
from mlflow_backend.verify.extra import extra_check
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.settings import Settings

TOOL: Final = "/opt/mlflow-backend/verification"
COMMAND: Final = ("python", f"{TOOL}/{job.TOOL}", TOOL)
# Until its first connection, and to clean up and keep the report.
_BESIDES_S: Final = 120


def documents(settings: Settings, naming: Naming) -> dict[str, Document]:
    """Return the documents by the part that each is for, in the order in which they are made; none if unscheduled."""
    if (schedule := scheduled(settings).get(VERIFICATION)) is None:
        return {}
    mounted = {"name": "verification-tool", "configMap": {"name": naming.part(VERIFICATION), "defaultMode": 0o444}}
    pod_template = oneshot.template(
        settings,
        naming,
        VERIFICATION,
        account=VERIFY,
        variables=oneshot.verify_environment(settings, naming),
        files=[(mounted, TOOL)],
    )
    metadata = naming.metadata(naming.part(VERIFICATION), JOB)
    return {
        "verification-tool": oneshot.tool(metadata, _job(settings, naming), verify_job.bundle()),
        VERIFICATION: pod_template,
        "verification-schedule": oneshot.cron_job(
            pod_template, schedule=schedule, command=COMMAND, deadline_s=settings.verify.deadline + _BESIDES_S
        ),
    }


def _job(settings: Settings, naming: Naming) -> ScheduledVerification:
    checks: Sequence[Any] = [each.model_dump(mode="json") for each in settings.verify.extra_checks]
    pods = server.template(settings, naming, component=SERVER, secrets_version="")
    callers = allowed_callers(pods["spec"]["containers"][0]["command"])
    return ScheduledVerification(
        store=stores.bucket(settings),
        subject=Subject(
            url=f"http://{naming.host()}{settings.network.path_prefix}",
            credentials=login.references_inside(settings.access.mode),
            access=settings.access.mode != "none",
            extra_checks=tuple(map(extra_check, checks)),
            plain_http=False,
            proxied=False,
            hosts=callers.hosts,
            origins=callers.origins,
            stack=naming.stack,
        ),
        request=VerifyRequest(profile=settings.verify.profile, deadline_s=float(settings.verify.deadline)),
    )
