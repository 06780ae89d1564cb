"""Backups of a backend on Cloud Run (target.Backups): taken by a job, as its schedule starts it, and restored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup.source import no_task
from mlflow_backend.backup.task_backups import TaskBackups
from mlflow_backend.cloudrun import traffic
from mlflow_backend.cloudrun.oneshot import CloudRunJob
from mlflow_backend.gcp.api import RUN
from mlflow_backend.gcp.render.identity import BACKUP, DATABASE
from mlflow_backend.gcp.render.secrets import BASIC
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.gcp.secrets import Secrets
from mlflow_backend.hosted import ARTIFACTS
from mlflow_backend.server import keys

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.cloudrun.platform import CloudRunPlatform


class CloudRunBackups(TaskBackups):
    """See target.Backups: whoever has the recovery key restores them from where they are."""

    _platform: CloudRunPlatform

    def __init__(self, platform: CloudRunPlatform, file: Path) -> None:
        """Take the backend's live side and the stack's file; nothing is asked yet."""
        super().__init__(platform, file)
        self._name = platform.naming.job(BACKUP)

    def task(self) -> tuple[CloudRunJob, Sequence[str], str]:
        """Return the job, which has its destination and its key from the last update."""
        found = self._platform.run.job(self._name)
        if found is None:
            raise no_task()
        (container,) = found["template"]["template"]["containers"]
        command = (*container["command"], *container["args"])
        return CloudRunJob(cloud_run=self._platform.run, job=self._name), command, self._name

    def schedules(self) -> Mapping[str, str]:
        """Return how the last execution went."""
        run = self._platform.run
        last = (run.job(self._name) or {}).get("latestCreatedExecution")
        if not last:
            return {}
        found = run.api.get(RUN, f"v2/{run.naming.parent}/jobs/{self._name}/executions/{traffic.short(last['name'])}")
        return {} if found is None else {BACKUP: described(found)}

    def source(self) -> DeployedSource:
        """Return the backend as a restore sees it."""
        # A status asks for the schedules alone.
        from mlflow_backend.backup import hosted  # noqa: PLC0415
        from mlflow_backend.backup.objects import ObjectArtifacts  # noqa: PLC0415
        from mlflow_backend.cloudrun.renewal import renewed  # noqa: PLC0415
        from mlflow_backend.deployed import DeployedBackend  # noqa: PLC0415
        from mlflow_backend.gcp.backups import BucketDestination  # noqa: PLC0415
        from mlflow_backend.gcp.vault import SecretManagerVault  # noqa: PLC0415

        platform, locator = self._platform, self._platform.locator
        vault = SecretManagerVault(
            secrets=Secrets(project=locator.project, api=platform.api),
            naming=platform.naming,
            names=(*keys.NAMES, *(BASIC if locator.access == "basic" else ())),
            store=self.store,
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
            settings=self._file.read_bytes(),
            # Jobs and revisions have fixed versions of secrets, and not those that a restore has added.
            tool=lambda version: platform.tool(version, vault.versions),
            renewed=lambda revision: renewed(platform.run, revision, vault.versions),
        )


def described(execution: Mapping[str, Any]) -> str:
    """Return in a few words how an execution went."""
    begun = f"{datetime.fromisoformat(execution['createTime']).astimezone(UTC):%F %T}Z"
    if "completionTime" not in execution:
        return f"under way since {begun}"
    if execution.get("succeededCount"):
        return f"done, begun {begun}"
    return f"failed, begun {begun}: {'; '.join(traffic.reasons(execution)) or 'no reason'}"
