"""The maintenance of a backend whose stores are on S3 (`backup.maintain_task`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.aws.backups import BucketDestination
from mlflow_backend.aws.clients import store_client
from mlflow_backend.backup import maintain_task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backup.job import Bucket


def main(arguments: Sequence[str]) -> int:
    """See backup.maintain_task.main."""
    return maintain_task.main(arguments, objects)


def objects(at: Bucket) -> BucketDestination:
    """Return the objects below a root in a bucket, asked with the task's own identity."""
    return BucketDestination(store_client(at.region, endpoint=at.endpoint), bucket=at.bucket, root=at.root)
