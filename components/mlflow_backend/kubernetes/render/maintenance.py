"""The maintenance of a backend in a cluster: a tool with its job in a ConfigMap, and pods that run it. Pure.

The tool is this project's modules, in the server's image; artifacts are removed through the servers, as users do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.backup import job, maintain_job
from mlflow_backend.backup.maintain_job import DEADLINE_S, WAIT_S, MaintainJob
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.kubernetes.naming import JOB
from mlflow_backend.kubernetes.render import oneshot, pods, secrets, server, stores
from mlflow_backend.kubernetes.render.scheduled import scheduled
from mlflow_backend.schedules import MAINTENANCE
from mlflow_backend.server import describe, login
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.settings import Settings

TOOL: Final = "/opt/mlflow-backend/maintenance"
COMMAND: Final = ("python", f"{TOOL}/{job.TOOL}", TOOL)


def documents(settings: Settings, naming: Naming) -> dict[str, Document]:
    """Return the documents by the part that each is for, in the order in which they are made."""
    pod_template = template(settings, naming)
    found = {"maintenance-tool": tool(settings, naming), MAINTENANCE: pod_template}
    if (schedule := scheduled(settings).get(MAINTENANCE)) is not None:
        found["maintenance-schedule"] = oneshot.cron_job(
            pod_template,
            schedule=schedule,
            command=(*COMMAND, "--wait", str(WAIT_S)),
            deadline_s=DEADLINE_S + WAIT_S,
        )
    return found


def tool(settings: Settings, naming: Naming) -> Document:
    """Return the tool, and what it maintains."""
    wanted = MaintainJob(
        store=stores.bucket(settings),
        artifacts=stores.store(settings).prefix(ARTIFACTS),
        address=stores.artifact_store(settings).destination,
        keep_deleted_days=settings.maintain.keep_deleted_days,
        at_once=f"{PREFIX}/",
    )
    return oneshot.tool(naming.metadata(naming.part(MAINTENANCE), JOB), wanted, maintain_job.bundle())


def template(settings: Settings, naming: Naming) -> Document:
    """Return the pods of a maintenance: the server's environment, and the login of an administrator at the servers."""
    described, secret = describe(server.inputs(settings, naming)), secrets.server_secret(settings, naming)
    plain = {"MLFLOW_TRACKING_URI": f"http://{naming.host()}{settings.network.path_prefix}"}
    names = login.client_variables(settings.access.mode)
    keys = {variable: pods.SecretKey(secret=secret, key=name) for variable, name in names.items()}
    mounted = {"name": "maintenance-tool", "configMap": {"name": naming.part(MAINTENANCE), "defaultMode": 0o444}}
    return oneshot.template(
        settings,
        naming,
        MAINTENANCE,
        account=MAINTENANCE,
        variables=[*server.environment(settings, naming, described), *pods.environment(plain, keys)],
        files=[(mounted, TOOL)],
    )
