"""The maintenance of a backend whose stores are on Cloud Storage (`backup.maintain_task`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup import maintain_task
from mlflow_backend.gcp.api import shared
from mlflow_backend.gcp.backups import BucketDestination
from mlflow_backend.gcp.root import GcsRoot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backup.job import Bucket


def main(arguments: Sequence[str]) -> int:
    """See backup.maintain_task.main."""
    return maintain_task.main(arguments, objects)


def objects(at: Bucket) -> BucketDestination:
    """Return the objects below a root in a bucket, asked with the task's own identity."""
    return BucketDestination(shared(), GcsRoot(bucket=at.bucket, root=at.root))
