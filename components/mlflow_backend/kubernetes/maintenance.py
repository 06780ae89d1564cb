"""The maintenance of a backend in a cluster, by a Job, as the CronJob does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup import job
from mlflow_backend.codec import from_document
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused
from mlflow_backend.kubernetes.naming import MAINTENANCE
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.render import maintenance
from mlflow_backend.logged import is_whole
from mlflow_backend.maintenance import Maintained

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.platform import KubernetesPlatform
    from mlflow_backend.target import Finished


class KubernetesMaintenance:
    """See target.Maintenance."""

    def __init__(self, platform: KubernetesPlatform) -> None:
        """Name the backend; nothing is asked yet."""
        self._platform = platform

    def maintain(self, *, keep_deleted_days: int, dry_run: bool) -> Maintained:
        """Do it by a Job, or say what would be done."""
        if self._platform.serving() is None:
            raise Refused(
                "No server of the stack runs, and artifacts are removed by it.",
                code="cluster-maintain-not-serving",
                fix="Run `make up STACK=STACK`.",
            )
        task = KubernetesJob(api=self._platform.api, template=self._platform.naming.part(MAINTENANCE))
        chosen = ("--keep-deleted-days", str(keep_deleted_days), *(["--dry-run"] if dry_run else []))
        ended = task.run((*maintenance.COMMAND, *chosen), deadline_s=maintenance.DEADLINE_S, complete=is_whole)
        return _maintained(ended, part=task.template)

    def remove(self, name: str, *, dry_run: bool) -> int:
        """Refuse: what a mistyped name means is seen on this machine, and not in a Job."""
        del dry_run
        raise Refused(
            "Dumps and artifacts are removed by name on this machine only.",
            code="cluster-maintain-by-name",
            fix="Delete the object from the bucket by its own tools.",
            part=name,
        )


def _maintained(ended: Finished, *, part: str) -> Maintained:
    """Return what a Job's report says. Raises Refused and PlatformFailed for one that says why it did not."""
    report = job.report_of(ended, part=part)
    if "error" in report:
        kind = Refused if report["exit_code"] == ExitCode.REFUSED else PlatformFailed
        raise kind(str(report["error"]), code=str(report["code"]))
    return from_document(Maintained, report["maintained"])
