"""The source of a restore onto a backend on Cloud Run: its secrets, and through `Platform` all the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup import hosted
from mlflow_backend.backup.objects import ObjectArtifacts
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.cloudrun.oneshot import CloudRunJob
from mlflow_backend.cloudrun.renewal import renewed
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.gcp.backups import BucketDestination
from mlflow_backend.gcp.render.identity import DATABASE
from mlflow_backend.gcp.render.secrets import BASIC
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.gcp.secrets import Secrets
from mlflow_backend.gcp.vault import SecretManagerVault
from mlflow_backend.server import keys

if TYPE_CHECKING:
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.cloudrun.platform import CloudRunPlatform


def source_of(platform: CloudRunPlatform, *, settings: bytes) -> DeployedSource:
    """Return the backend of a project as a restore sees it; nothing is asked yet."""
    locator = platform.locator
    vault = SecretManagerVault(
        secrets=Secrets(project=locator.project, api=platform.api),
        naming=platform.naming,
        names=(*keys.NAMES, *(BASIC if locator.access == "basic" else ())),
        store=platform.store,
        api_keys=locator.access == "token",
    )
    artifacts = GcsRoot(bucket=locator.bucket, root=locator.store.prefix(ARTIFACTS))
    return hosted.source_of(
        DeployedBackend(platform),
        task=CloudRunJob(cloud_run=platform.run, job=platform.naming.job(DATABASE)),
        artifacts=ObjectArtifacts(BucketDestination(platform.api, artifacts)),
        vault=vault,
        own=BucketDestination(platform.api, locator.store),
        stack=locator.stack,
        settings=settings,
        # Jobs and revisions have fixed versions of secrets, and not those that a restore has added.
        tool=lambda version: platform.tool(version, vault.versions),
        renewed=lambda revision: renewed(platform.run, revision, vault.versions),
    )
