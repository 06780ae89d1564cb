"""The task that takes a backup of a backend whose stores are on Cloud Storage (`backup.task`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup import task
from mlflow_backend.backup.objects import ObjectArtifacts
from mlflow_backend.backup.task import Stores
from mlflow_backend.gcp.api import shared
from mlflow_backend.gcp.backups import BucketDestination
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.gcp.store import GcsStore
from mlflow_backend.releases.stores import STAGING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backup.job import BackupJob


def main(arguments: Sequence[str]) -> int:
    """See backup.task.main."""
    return task.main(arguments, stores)


def stores(wanted: BackupJob) -> Stores:
    """Return the stores of a job, asked with the task's own identity."""
    api, at, there = shared(), wanted.store, wanted.destination
    root = GcsRoot(bucket=at.bucket, root=at.root)
    return Stores(
        store=GcsStore(api, root),
        staging=root.address(STAGING),
        own=BucketDestination(api, root),
        artifacts=ObjectArtifacts(BucketDestination(api, GcsRoot(bucket=at.bucket, root=wanted.artifacts))),
        destination=BucketDestination(api, GcsRoot(bucket=there.bucket, root=there.root)),
    )
