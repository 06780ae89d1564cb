"""The tool of a one-shot task, as an object in the backend's store that a one-shot task fetches. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.backup import job
from mlflow_backend.codec import to_document
from mlflow_backend.releases.stores import ROOT

if TYPE_CHECKING:
    from mlflow_backend.backup.job import BackupJob, Bucket, Cloud
    from mlflow_backend.settings import Settings

FOLDER: Final = f"{ROOT}/backup"
"""Where in the backend's store the tools are, one object a release of them."""
# The first backup copies every artifact. None may outlast its lock (releases/lease.py), or a second one would begin.
DEADLINE_S: Final = 7 * 3600
BACKUP, VERIFICATION, MAINTENANCE = "backup_task", "verify_task", "maintain_task"
"""Modules of a cloud's package that a task runs."""
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


def content(job_text: str, settings: str, *, cloud: Cloud) -> bytes:
    """Return the content of the tool."""
    return job.bundle({job.JOB: job_text.encode(), job.SETTINGS: settings.encode()}, cloud=cloud)


def tool(wanted: BackupJob, settings: Settings, *, cloud: Cloud) -> Tool:
    """Return the tool that does a job for a stack with these settings."""
    job_text, file = json.dumps(to_document(wanted), sort_keys=True), stack_file(settings)
    key = key_of(wanted.store, content(job_text, file, cloud=cloud))
    return Tool(bucket=wanted.store.bucket, key=key, job=job_text, settings=file)


def key_of(store: Bucket, packed: bytes, *, folder: str = FOLDER) -> str:
    """Return the key of a tool with this content in a folder of the backend's store."""
    below = "/".join(filter(None, [store.root, folder]))
    return f"{below}/{hashlib.sha256(packed).hexdigest()[:16]}.zip"


def stack_file(settings: Settings) -> str:
    """Return the content of a stack's file with these settings, which becomes part of each backup; JSON is YAML too."""
    values = settings.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return json.dumps({"config": {f"{_NAMESPACE}:{section}": value for section, value in values.items()}}, indent=1)
