"""What maintains a backend on ECS: a one-shot task with a tool from the backend's store. Pure.

Artifacts are removed through the servers, as users do, so that it takes a balancer that such a task can call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.policies import ARTIFACTS
from mlflow_backend.backup.job import Bucket
from mlflow_backend.backup.maintain_job import WAIT_S
from mlflow_backend.backup.tool import maintenance

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import S3Root
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.settings import Settings

MAINTENANCE: Final = "maintenance"
ON_SCHEDULE: Final = ("--wait", str(WAIT_S))
"""What a schedule adds to the command."""


def tool(settings: Settings, naming: Naming, store: S3Root) -> Tool:
    """Return the tool of a stack."""
    return maintenance(
        settings,
        store=Bucket(bucket=store.bucket, root=store.root, region=naming.region),
        artifacts=store.prefix(ARTIFACTS),
        address=store.address(ARTIFACTS),
        cloud="aws",
    )
