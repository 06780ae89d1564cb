"""One-shot tasks: the pod templates that are kept for them, and the Job that runs a command by one. Pure."""

from __future__ import annotations

import base64
import copy
import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mlflow_backend import one_shot
from mlflow_backend.backup import job as packed
from mlflow_backend.codec import to_document
from mlflow_backend.kubernetes.naming import JOB, TASKS, VERIFY
from mlflow_backend.kubernetes.render import pods, secrets, server, stores
from mlflow_backend.server import describe, keys, login

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _typeshed import DataclassInstance

    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.settings import Settings

_BEFORE: Final = """
import os, socket, sys, time
from urllib.parse import urlsplit
url, ends = urlsplit(os.environ.get("MLFLOW_BACKEND_STORE_URI", "")), time.monotonic() + 60
while url.hostname and time.monotonic() < ends:
    try:
        socket.create_connection((url.hostname, url.port), timeout=5).close()
        break
    except OSError:
        time.sleep(0.5)
os.dup2(1, 2)
os.execvp(sys.argv[1], sys.argv[1:])
"""
# A network plugin may let a new pod through seconds after it runs, and a database in the cluster may just be started
# anew; the tool itself says what is wrong with one that is not reached within a minute. The streams are one, because a
# log has the lines of two in any order, so that words of the one may be within the report on the other.
BEFORE: Final = ("python", "-c", _BEFORE)
"""What each Job's command is run by."""
DATABASE: Final = "database-tool"
COMMAND: Final = "mlflow-backend/command"
"""Annotation of a Job: the token by which the next command sees that the one that waited for it was killed."""

_USER, _PASSWORD = "MLFLOW_BACKEND_ADMIN_USER", "MLFLOW_BACKEND_ADMIN_PASSWORD"

# One Python process each; a dump streams.
_CPU, _MEMORY_MIB, _SPOOL_MIB = 512, 1024, 1024
_STOP_S: Final = 30
# The deployer removes a Job as soon as it has read its log; that of a deployer that was killed is removed by the next
# command on the same machine, or goes by itself.
_KEPT_S: Final = 3600
# Of scheduled Jobs: how many ended ones are kept of each kind, and how late one may start. The controller gives up a
# schedule of which it finds more than a hundred missed moments in that time (Kubernetes, 'CronJob').
_HISTORY: Final = 3
_MISSED_S: Final = 3600


def database(settings: Settings, naming: Naming) -> Document:
    """Return the template of what reads, migrates, dumps and restores the database.

    It has the server's own environment, so that both mean the same database, the former keys, because a restored dump
    is re-encrypted, and the administrator, if one makes the server's role.
    """
    described = describe(server.inputs(settings, naming))
    secret = secrets.server_secret(settings, naming)
    more = {keys.FORMER_VARIABLE: pods.SecretKey(secret=secret, key=keys.FORMER)}
    plain: dict[str, str] = {}
    if settings.database.mode == "create":
        plain[_USER] = stores.ADMINISTRATOR
        more[_PASSWORD] = pods.SecretKey(secret=secret, key=secrets.DATABASE_ADMIN_PASSWORD)
    if (administrator := settings.kubernetes.database.administrator) is not None:
        more[_USER] = pods.SecretKey(secret=administrator, key="username")
        more[_PASSWORD] = pods.SecretKey(secret=administrator, key="password")
    variables = [*server.environment(settings, naming, described), *pods.environment(plain, more)]
    return template(settings, naming, DATABASE, account=TASKS, variables=variables)


def verify(settings: Settings, naming: Naming) -> Document:
    """Return the template of what verifies within the cluster; each run brings what is checked."""
    return template(settings, naming, VERIFY, account=VERIFY, variables=verify_environment(settings, naming))


def verify_environment(settings: Settings, naming: Naming) -> list[Document]:
    """Return the environment of what verifies: the users' kind of login, and the way to the store."""
    wanted, secret = settings.kubernetes.artifacts, secrets.server_secret(settings, naming)
    plain = {"AWS_REGION": wanted.region, "AWS_DEFAULT_REGION": wanted.region, "PYTHONUNBUFFERED": "1"}
    if wanted.endpoint:
        plain["AWS_ENDPOINT_URL_S3"] = wanted.endpoint
    more = {
        variable: pods.SecretKey(secret=secret, key=name)
        for variable, name in login.variables(settings.access.mode).items()
    }
    if wanted.secret:
        more["AWS_ACCESS_KEY_ID"] = pods.SecretKey(secret=wanted.secret, key=secrets.ACCESS_KEY)
        more["AWS_SECRET_ACCESS_KEY"] = pods.SecretKey(secret=wanted.secret, key=secrets.SECRET_KEY)
    return pods.environment(plain, more)


def tool(
    metadata: Document, job: DataclassInstance, content: bytes, more: Mapping[str, str] = MappingProxyType({})
) -> Document:
    """Return the ConfigMap of a task that is packed as a zip, with its job."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {packed.JOB: json.dumps(to_document(job), sort_keys=True), **more},
        "binaryData": {packed.TOOL: base64.b64encode(content).decode()},
    }


def job(pod_template: Document, *, token: str, command: Sequence[str], deadline_s: float, image: str = "") -> Document:
    """Return the Job that runs a command once by a PodTemplate, in another image if one is named.

    `token` is of the command that waits for it, and gives the Job its name.
    """
    found = copy.deepcopy(pod_template["template"])
    (container,) = found["spec"]["containers"]
    container["command"] = [pods.literal(word) for word in (*BEFORE, *command)]
    container["image"] = image or container["image"]
    own = pod_template["metadata"]
    metadata = {
        "name": f"{own['name']}-{token[:8]}",
        "namespace": own["namespace"],
        "labels": own["labels"],
        "annotations": {COMMAND: token},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata,
        "spec": {
            # A second writer is never started by itself.
            "backoffLimit": 0,
            "activeDeadlineSeconds": int(one_shot.START_S + deadline_s),
            "ttlSecondsAfterFinished": _KEPT_S,
            "template": found,
        },
    }


def cron_job(pod_template: Document, *, schedule: str, command: Sequence[str], deadline_s: float) -> Document:
    """Return the CronJob that runs a command by a PodTemplate on a schedule in UTC; its name is the template's.

    One that is still at work is not joined by another. `kubectl create job --from=cronjob/NAME` runs it at once.
    """
    spec = job(pod_template, token="", command=command, deadline_s=deadline_s)["spec"]
    # The history keeps the Jobs, so that what the last ones said can be read.
    del spec["ttlSecondsAfterFinished"]
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": pod_template["metadata"],
        "spec": {
            "schedule": schedule,
            "timeZone": "Etc/UTC",
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": _MISSED_S,
            "successfulJobsHistoryLimit": _HISTORY,
            "failedJobsHistoryLimit": _HISTORY,
            "jobTemplate": {"metadata": {"labels": pod_template["metadata"]["labels"]}, "spec": spec},
        },
    }


def template(  # noqa: PLR0913 - what a one-shot task is made of, by name
    settings: Settings,
    naming: Naming,
    name: str,
    *,
    account: str,
    variables: list[Document],
    component: str = JOB,
    spool_mib: int = _SPOOL_MIB,
    files: Sequence[tuple[Document, str]] = (),
) -> Document:
    """Return the PodTemplate of a task in the server's image; `files` are volumes to read, each with its mount path."""
    more = {volume["name"]: path for volume, path in files}
    container = pods.container(
        name,
        image=str(settings.server.image),
        volumes={**server.mounts(settings, naming), **more},
        read_only=["database-ca", *more],
    )
    container |= {
        "env": variables,
        "resources": pods.resources(
            cpu_request=_CPU, memory_request=_MEMORY_MIB // 2, cpu_limit=None, memory_limit=_MEMORY_MIB
        ),
    }
    pod = pods.spec(
        [container],
        uid=pods.SERVER_UID,
        account=naming.account(account),
        volumes=[*server.volumes(settings, naming, spool_mib=spool_mib), *(volume for volume, _ in files)],
        grace_s=_STOP_S,
    )
    pod |= {
        "restartPolicy": "Never",
        "nodeSelector": {"kubernetes.io/arch": settings.kubernetes.architecture, "kubernetes.io/os": "linux"},
    }
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": naming.metadata(naming.part(name), component),
        "template": pods.template(naming, component, pod, {server.VERSION: settings.server.mlflow_version}),
    }
