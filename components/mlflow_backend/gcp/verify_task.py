"""The verification on a schedule of a backend whose store is on Cloud Storage (`backup.verify_task`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup import verify_task
from mlflow_backend.gcp.api import shared
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.gcp.store import GcsStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backup.job import Bucket


def main(arguments: Sequence[str]) -> int:
    """See backup.verify_task.main."""
    return verify_task.main(arguments, store)


def store(at: Bucket) -> GcsStore:
    """Return the backend's own objects, asked with the task's own identity."""
    return GcsStore(shared(), GcsRoot(bucket=at.bucket, root=at.root))
