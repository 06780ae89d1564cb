"""The tool of a one-shot task, as an object in the backend's store that a one-shot task fetches. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.backup import job, maintain_job, verify_job
from mlflow_backend.backup.maintain_job import MaintainJob
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.codec import to_document
from mlflow_backend.releases.stores import JOBS, ROOT
from mlflow_backend.verify.extra import extra_check
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.backup.job import BackupJob, Bucket, Cloud
    from mlflow_backend.settings import Settings

FOLDER: Final = f"{ROOT}/backup"
"""Where in the backend's store the tools are, one object a release of them."""
# The first backup copies every artifact. None may outlast its lock (releases/lease.py), or a second one would begin.
DEADLINE_S: Final = 7 * 3600
BACKUP, VERIFICATION, MAINTENANCE = "backup_task", "verify_task", "maintain_task"
"""Modules of a cloud's package that a task runs."""
# Until its first connection, and to clean up.
_BESIDES_S: Final = 120
_NAMESPACE: Final = "mlflow-backend"
_RUN: Final = (
    ";import io,os,signal,tempfile,zipfile;"
    "signal.alarm({deadline_s});"
    "os.dup2(1,2);"
    "folder=tempfile.mkdtemp();"
    "zipfile.ZipFile(io.BytesIO(data)).extractall(folder);"
    "sys.path.insert(0,folder);"
    "from mlflow_backend.{cloud} import {program};"
    "sys.exit({program}.main([folder,*sys.argv[3:]]))"
)
"""What the task does with the tool that it fetched, until its time is over; its log has both streams as one."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """An object in the backend's store: modules, with the job, and for a backup the stack's settings.

    `key` holds a digest of its content, so that a task that is starting finds the one that it was given.
    """

    bucket: str
    key: str
    job: str
    settings: str = ""
    program: str = BACKUP
    deadline_s: int = DEADLINE_S

    def command(self, fetch: str, *, cloud: Cloud) -> tuple[str, ...]:
        """Return what a task runs; `fetch` are statements that read the object into `data` (target.OneShot)."""
        run = _RUN.format(cloud=cloud, program=self.program, deadline_s=self.deadline_s)
        return ("python", "-c", f"{fetch}{run}", self.bucket, self.key)


def content(program: str, job_text: str, settings: str, *, cloud: Cloud) -> bytes:
    """Return the content of a tool; `program` is the module that a task runs."""
    files = {job.JOB: job_text.encode()}
    if program == BACKUP:
        return job.bundle({**files, job.SETTINGS: settings.encode()}, cloud=cloud)
    bundle = maintain_job.bundle if program == MAINTENANCE else verify_job.bundle
    return bundle(files, cloud=cloud)


def verification(  # noqa: PLR0913 - what is verified, by name
    settings: Settings,
    *,
    store: Bucket,
    url: str,
    credentials: Mapping[str, str],
    access: bool,
    stack: str,
    cloud: Cloud,
) -> Tool:
    """Return the tool that verifies the backend of a stack as its settings say; users call it at `url`.

    `credentials` are references that mean something within the task, `access` says whether a login is asked for.
    """
    checks: Sequence[Any] = [each.model_dump(mode="json") for each in settings.verify.extra_checks]
    wanted = ScheduledVerification(
        store=store,
        subject=Subject(
            url=url,
            credentials=credentials,
            access=access,
            extra_checks=tuple(map(extra_check, checks)),
            stack=stack,
        ),
        request=VerifyRequest(profile=settings.verify.profile, deadline_s=float(settings.verify.deadline)),
    )
    job_text = json.dumps(to_document(wanted), sort_keys=True)
    return Tool(
        bucket=store.bucket,
        # Where its role reads the jobs of other verifications.
        key=key_of(store, content(VERIFICATION, job_text, "", cloud=cloud), folder=JOBS),
        job=job_text,
        program=VERIFICATION,
        deadline_s=settings.verify.deadline + _BESIDES_S,
    )


def maintenance(settings: Settings, *, store: Bucket, artifacts: str, address: str, cloud: Cloud) -> Tool:
    """Return the tool that maintains a backend: artifacts are below a root as the bucket and the database know it."""
    wanted = MaintainJob(
        store=store,
        artifacts=artifacts,
        address=address,
        keep_deleted_days=settings.maintain.keep_deleted_days,
        at_once=f"{PREFIX}/",
    )
    job_text = json.dumps(to_document(wanted), sort_keys=True)
    return Tool(
        bucket=store.bucket,
        key=key_of(store, content(MAINTENANCE, job_text, "", cloud=cloud)),
        job=job_text,
        program=MAINTENANCE,
        deadline_s=maintain_job.DEADLINE_S + maintain_job.WAIT_S,
    )


def tool(wanted: BackupJob, settings: Settings, *, cloud: Cloud) -> Tool:
    """Return the tool that does a job for a stack with these settings."""
    job_text, file = json.dumps(to_document(wanted), sort_keys=True), stack_file(settings)
    key = key_of(wanted.store, content(BACKUP, job_text, file, cloud=cloud))
    return Tool(bucket=wanted.store.bucket, key=key, job=job_text, settings=file)


def key_of(store: Bucket, packed: bytes, *, folder: str = FOLDER) -> str:
    """Return the key of a tool with this content in a folder of the backend's store."""
    below = "/".join(filter(None, [store.root, folder]))
    return f"{below}/{hashlib.sha256(packed).hexdigest()[:16]}.zip"


def stack_file(settings: Settings) -> str:
    """Return the content of a stack's file with these settings, which becomes part of each backup; JSON is YAML too."""
    values = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps({"config": {f"{_NAMESPACE}:{section}": value for section, value in values.items()}}, indent=1)
