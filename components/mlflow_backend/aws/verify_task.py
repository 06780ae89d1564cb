"""The verification on a schedule of a backend whose store is on S3 (`backup.verify_task`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.aws.clients import store_client
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup import verify_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backup.job import Bucket


def main(arguments: Sequence[str]) -> int:
    """See backup.verify_task.main."""
    return verify_task.main(arguments, store)


def store(at: Bucket) -> S3Store:
    """Return the backend's own objects, asked with the task's own identity."""
    return S3Store(store_client(at.region, endpoint=at.endpoint), bucket=at.bucket, root=at.root)
