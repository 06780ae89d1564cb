"""What verifies a backend on ECS on a schedule: the task that verifies inside the network, with a tool. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup.job import Bucket
from mlflow_backend.backup.tool import verification
from mlflow_backend.server import login

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import S3Root
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.settings import Settings


def tool(settings: Settings, naming: Naming, store: S3Root, url: str) -> Tool:
    """Return the tool of a stack whose server is called at `url`."""
    return verification(
        settings,
        store=Bucket(bucket=store.bucket, root=store.root, region=naming.region),
        url=url,
        credentials=login.references_inside(settings.access.mode),
        access=settings.access.mode != "none",
        stack=naming.stack,
        cloud="aws",
    )
