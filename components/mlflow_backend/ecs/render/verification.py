"""What verifies a backend on ECS on a schedule: the task that verifies inside the network, with a tool. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws import verify_job
from mlflow_backend.aws.verify_job import ScheduledVerification
from mlflow_backend.backup import job
from mlflow_backend.backup.job import Bucket
from mlflow_backend.backup.tool import VERIFICATION, Tool, key_of
from mlflow_backend.codec import to_document
from mlflow_backend.releases.stores import JOBS
from mlflow_backend.server import login
from mlflow_backend.verify.extra import extra_check
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Store
    from mlflow_backend.settings import Settings

# Until its first connection, and to clean up.
_BESIDES_S: Final = 120


def tool(settings: Settings, naming: Naming, store: Store, url: str) -> Tool:
    """Return the tool of a stack whose server is called at `url`."""
    checks: Sequence[Any] = [each.model_dump(mode="json") for each in settings.verify.extra_checks]
    wanted = ScheduledVerification(
        store=Bucket(bucket=store.bucket, root=store.root, region=naming.region),
        subject=Subject(
            url=url,
            credentials=login.references_inside(settings.access.mode),
            access=settings.access.mode != "none",
            extra_checks=tuple(map(extra_check, checks)),
            stack=naming.stack,
        ),
        request=VerifyRequest(profile=settings.verify.profile, deadline_s=float(settings.verify.deadline)),
    )
    job_text = json.dumps(to_document(wanted), sort_keys=True)
    return Tool(
        bucket=store.bucket,
        # Where its role reads the jobs of other verifications.
        key=key_of(wanted.store, verify_job.bundle({job.JOB: job_text.encode()}), folder=JOBS),
        job=job_text,
        program=VERIFICATION,
        deadline_s=settings.verify.deadline + _BESIDES_S,
    )
