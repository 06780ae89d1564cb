"""The tools of one-shot tasks, each an object in the backend's store that its task fetches. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.backup import job, maintain_job, verify_job
from mlflow_backend.backup.job import BackupJob, Bucket
from mlflow_backend.backup.maintain_job import MaintainJob
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.codec import to_document
from mlflow_backend.releases.stores import JOBS, ROOT
from mlflow_backend.verify.extra import extra_check
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from _typeshed import DataclassInstance

    from mlflow_backend.backup.job import Cloud
    from mlflow_backend.bucket_root import BucketRoot
    from mlflow_backend.settings import Settings

FOLDER: Final = f"{ROOT}/backup"
"""Where in the backend's store the tools are, one object a release of them."""
# The first backup copies every artifact. None may outlast its lock (releases/lease.py), or a second one would begin.
DEADLINE_S: Final = 7 * 3600
STORED: Final = ("bucket", "key", "job", "settings", "program")
"""What of a tool the resource has that keeps it in the store."""
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

    cloud: Cloud
    bucket: str
    key: str
    job: str
    settings: str
    program: str
    deadline_s: int

    def command(self, fetch: str) -> tuple[str, ...]:
        """Return what a task runs; `fetch` are statements that read the object into `data` (target.OneShot)."""
        run = _RUN.format(cloud=self.cloud, program=self.program, deadline_s=self.deadline_s)
        return ("python", "-c", f"{fetch}{run}", self.bucket, self.key)


def content(program: str, job_text: str, settings: str, *, cloud: Cloud) -> bytes:
    """Return the content of a tool; `program` is the module that a task runs."""
    files = {job.JOB: job_text.encode()}
    if program == BACKUP:
        return job.bundle({**files, job.SETTINGS: settings.encode()}, cloud=cloud)
    bundle = maintain_job.bundle if program == MAINTENANCE else verify_job.bundle
    return bundle(files, cloud=cloud)


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The tools of one stack's one-shot tasks, each of which does what the settings say.

    `store` is the backend's root in its bucket, `region` the bucket's, which Cloud Storage does not ask for.
    """

    settings: Settings
    stack: str
    store: BucketRoot
    cloud: Cloud
    region: str = ""

    def backup(self, there: BucketRoot) -> Tool:
        """Return the tool that takes a backup to a root in a bucket."""
        wanted = BackupJob(
            target=self.settings.target,
            stack=self.stack,
            store=self._bucket(self.store),
            artifacts=self.store.prefix(ARTIFACTS),
            destination=self._bucket(there),
            recovery_key=str(self.settings.backup.recovery_key),
        )
        return self._packed(BACKUP, wanted, deadline_s=DEADLINE_S, file=stack_file(self.settings))

    def verification(self, *, url: str, credentials: Mapping[str, str], access: bool) -> Tool:
        """Return the tool that verifies the backend that users call at `url`.

        `credentials` are references that mean something within the task, `access` says whether a login is asked for.
        """
        verify = self.settings.verify
        checks: Sequence[Any] = [each.model_dump(mode="json") for each in verify.extra_checks]
        wanted = ScheduledVerification(
            store=self._bucket(self.store),
            subject=Subject(
                url=url,
                credentials=credentials,
                access=access,
                extra_checks=tuple(map(extra_check, checks)),
                stack=self.stack,
            ),
            request=VerifyRequest(profile=verify.profile, deadline_s=float(verify.deadline)),
        )
        # In the folder from which its role reads the jobs of other verifications.
        return self._packed(VERIFICATION, wanted, deadline_s=verify.deadline + _BESIDES_S, folder=JOBS)

    def maintenance(self) -> Tool:
        """Return the tool that maintains the backend."""
        wanted = MaintainJob(
            store=self._bucket(self.store),
            artifacts=self.store.prefix(ARTIFACTS),
            address=self.store.address(ARTIFACTS),
            keep_deleted_days=self.settings.maintain.keep_deleted_days,
            at_once=f"{PREFIX}/",
        )
        return self._packed(MAINTENANCE, wanted, deadline_s=maintain_job.DEADLINE_S + maintain_job.WAIT_S)

    def _bucket(self, root: BucketRoot) -> Bucket:
        return Bucket(bucket=root.bucket, root=root.root, region=self.region)

    def _packed(
        self, program: str, wanted: DataclassInstance, *, deadline_s: int, folder: str = FOLDER, file: str = ""
    ) -> Tool:
        text = json.dumps(to_document(wanted), sort_keys=True)
        digest = hashlib.sha256(content(program, text, file, cloud=self.cloud)).hexdigest()[:16]
        return Tool(
            cloud=self.cloud,
            bucket=self.store.bucket,
            key=self.store.prefix(f"{folder}/{digest}.zip"),
            job=text,
            settings=file,
            program=program,
            deadline_s=deadline_s,
        )


def stack_file(settings: Settings) -> str:
    """Return the content of a stack's file with these settings, which becomes part of each backup; JSON is YAML too."""
    values = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps({"config": {f"{_NAMESPACE}:{section}": value for section, value in values.items()}}, indent=1)
