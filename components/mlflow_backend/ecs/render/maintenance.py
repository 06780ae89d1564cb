"""What maintains a backend on ECS: a one-shot task with a tool from the backend's store. Pure.

Artifacts are removed through the servers, as users do, so that it takes a balancer that such a task can call.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws import maintain_job
from mlflow_backend.aws.maintain_job import DEADLINE_S, WAIT_S, MaintainJob
from mlflow_backend.aws.render.policies import ARTIFACTS
from mlflow_backend.backup import job
from mlflow_backend.backup.job import Bucket
from mlflow_backend.backup.tool import MAINTENANCE as PROGRAM
from mlflow_backend.backup.tool import Tool, key_of
from mlflow_backend.codec import to_document
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Store
    from mlflow_backend.settings import Settings

MAINTENANCE: Final = "maintenance"
ON_SCHEDULE: Final = ("--wait", str(WAIT_S))
"""What a schedule adds to the command."""


def tool(settings: Settings, naming: Naming, store: Store) -> Tool:
    """Return the tool of a stack."""
    wanted = MaintainJob(
        store=Bucket(bucket=store.bucket, root=store.root, region=naming.region),
        artifacts=store.prefix(ARTIFACTS),
        address=store.address(ARTIFACTS),
        keep_deleted_days=settings.maintain.keep_deleted_days,
        at_once=f"{PREFIX}/",
    )
    job_text = json.dumps(to_document(wanted), sort_keys=True)
    return Tool(
        bucket=store.bucket,
        key=key_of(wanted.store, maintain_job.bundle({job.JOB: job_text.encode()})),
        job=job_text,
        program=PROGRAM,
        deadline_s=DEADLINE_S + WAIT_S,
    )
