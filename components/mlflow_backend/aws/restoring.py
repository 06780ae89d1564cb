"""The source of a restore onto a backend whose stores are on S3: through its platform, whatever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.aws.backups import BucketArtifacts, BucketDestination
from mlflow_backend.backup import hosted
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.deployed import DeployedBackend

if TYPE_CHECKING:
    from mlflow_backend.backup.source import DeployedSource, Vault
    from mlflow_backend.target import Task


def source_of(platform: Any, *, task: Task, vault: Vault, settings: bytes) -> DeployedSource:
    """Return the backend as a restore sees it; `task` reaches its database. Nothing is asked yet.

    `platform` has the store's client `s3`, and a `locator` of a backend that is not on this machine.
    """
    locator, s3 = platform.locator, platform.s3
    return hosted.source_of(
        DeployedBackend(platform),
        task=task,
        artifacts=BucketArtifacts(s3, bucket=locator.bucket, root=locator.store.prefix(ARTIFACTS)),
        vault=vault,
        own=BucketDestination(s3, bucket=locator.bucket, root=locator.root),
        stack=locator.stack,
        settings=settings,
    )
