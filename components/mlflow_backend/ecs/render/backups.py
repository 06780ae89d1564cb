"""What takes backups of a backend on ECS: a one-shot task with a tool from the backend's store. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render import backups
from mlflow_backend.aws.render.policies import ARTIFACTS
from mlflow_backend.aws.render.secrets import DATABASE_PASSWORD, SERVER_SECRETS
from mlflow_backend.backup import tool as packed
from mlflow_backend.backup.job import BackupJob, Bucket
from mlflow_backend.server.login import VERIFICATION_KEY

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import S3Root
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.settings import Settings

BACKUP: Final = "backup"
DISK_GIB: Final = 200
"""Fargate's most (Amazon ECS developer guide, 'Fargate task ephemeral storage'): one sealed dump, or one artifact."""
SECRETS: Final = tuple(name for name in SERVER_SECRETS if name not in {DATABASE_PASSWORD, VERIFICATION_KEY})
"""What users and their data know a backend by; the others are between its own parts."""


def tool(settings: Settings, naming: Naming, store: S3Root) -> Tool:
    """Return the tool of a stack."""
    there = backups.destination(settings, naming.stack)
    wanted = BackupJob(
        target=settings.target,
        stack=naming.stack,
        store=Bucket(bucket=store.bucket, root=store.root, region=naming.region),
        artifacts=store.prefix(ARTIFACTS),
        destination=Bucket(bucket=there.bucket, root=there.root, region=naming.region),
        recovery_key=str(settings.backup.recovery_key),
    )
    return packed.tool(wanted, settings, cloud="aws")
