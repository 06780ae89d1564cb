"""The task that takes a backup of a backend whose stores are on S3 (`backup.task`)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mlflow_backend.aws.backups import BucketArtifacts, BucketDestination
from mlflow_backend.aws.clients import store_client
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup import job, task
from mlflow_backend.backup.task import Stores
from mlflow_backend.releases.stores import STAGING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backup.job import BackupJob


def main(arguments: Sequence[str]) -> int:
    """See backup.task.main."""
    return task.main(arguments, stores)


def stores(wanted: BackupJob) -> Stores:
    """Return the stores of a job; those of the destination may have keys of their own."""
    at, there = wanted.store, wanted.destination
    client = store_client(at.region, endpoint=at.endpoint)
    elsewhere = store_client(
        there.region,
        endpoint=there.endpoint,
        access_key=os.environ.get(job.ACCESS_KEY),
        secret_key=os.environ.get(job.SECRET_KEY),
    )
    store = S3Store(client, bucket=at.bucket, root=at.root)
    return Stores(
        store=store,
        staging=store.address(STAGING),
        own=BucketDestination(client, bucket=at.bucket, root=at.root),
        artifacts=BucketArtifacts(client, bucket=at.bucket, root=wanted.artifacts),
        destination=BucketDestination(elsewhere, bucket=there.bucket, root=there.root),
    )
