"""The backups of a backend in a cluster: a tool with its job in a ConfigMap, and pods that run it on a schedule. Pure.

The tool is this project's modules, in the server's image; it may do nothing with the cluster's API.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.backups import destination
from mlflow_backend.backup import job
from mlflow_backend.backup.job import BackupJob, Bucket
from mlflow_backend.backup.tool import DEADLINE_S, stack_file
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.kubernetes.render import oneshot, pods, secrets, server, stores
from mlflow_backend.kubernetes.render.scheduled import scheduled
from mlflow_backend.schedules import BACKUP
from mlflow_backend.server import describe

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.settings import Settings

TOOL: Final = "/opt/mlflow-backend/backup"
SECRETS: Final = "/etc/mlflow-backend/backed-up"
COMMAND: Final = ("python", f"{TOOL}/{job.TOOL}", TOOL, SECRETS)


def documents(settings: Settings, naming: Naming) -> dict[str, Document]:
    """Return the documents by the part that each is for, in the order in which they are made; none without backups."""
    if settings.backup.destination is None:
        return {}
    pod_template = template(settings, naming)
    found = {"backup-tool": tool(settings, naming), BACKUP: pod_template}
    if (schedule := scheduled(settings).get(BACKUP)) is not None:
        found["backup-schedule"] = oneshot.cron_job(
            pod_template, schedule=schedule, command=COMMAND, deadline_s=DEADLINE_S
        )
    return found


def tool(settings: Settings, naming: Naming) -> Document:
    """Return the tool, what it backs up and where to, and the settings that become part of the backup."""
    more = {job.SETTINGS: stack_file(settings)}
    return oneshot.tool(naming.metadata(naming.part(BACKUP), BACKUP), _job(settings, naming), job.bundle(), more)


def template(settings: Settings, naming: Naming) -> Document:
    """Return the pods that take a backup: the server's environment, and the keys of the destination."""
    wanted = settings.kubernetes.backup
    keys = (
        {}
        if wanted.secret is None
        else {
            job.ACCESS_KEY: pods.SecretKey(secret=wanted.secret, key=secrets.ACCESS_KEY),
            job.SECRET_KEY: pods.SecretKey(secret=wanted.secret, key=secrets.SECRET_KEY),
        }
    )
    described = describe(server.inputs(settings, naming))
    mounted = {"name": "backup-tool", "configMap": {"name": naming.part(BACKUP), "defaultMode": 0o444}}
    backed_up = pods.files("backed-up", secrets.server_secret(settings, naming), secrets.ALWAYS)
    return oneshot.template(
        settings,
        naming,
        BACKUP,
        account=BACKUP,
        component=BACKUP,
        variables=[*server.environment(settings, naming, described), *pods.environment({}, keys)],
        spool_mib=wanted.temporary_mib,
        files=[(mounted, TOOL), (backed_up, SECRETS)],
    )


def _job(settings: Settings, naming: Naming) -> BackupJob:
    wanted, there = settings.kubernetes.backup, destination(settings, naming.stack)
    return BackupJob(
        target=settings.target,
        stack=naming.stack,
        store=stores.bucket(settings),
        artifacts=stores.store(settings).prefix(ARTIFACTS),
        destination=Bucket(
            bucket=there.bucket,
            root=there.root,
            region=wanted.region,
            endpoint=wanted.endpoint,
        ),
        recovery_key=str(settings.backup.recovery_key),
    )
