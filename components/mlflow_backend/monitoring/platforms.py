"""The platform's own alarm for each alert on a cloud, or why there is none. Pure.

Names are those of the alarms of CloudWatch (aws/render/alarms.py) and of the policies of Cloud Monitoring
(gcp/render/alerts.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_LINES: Final = "by lines of the server's log"
_SERVER_ONLY: Final = "only the server knows it"
_ASKED: Final = "`make status` and `python -m scripts.backup list` say it of scheduled backups, to whoever asks"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """What one platform has for an alert: alarms that fire on its fault, and what has to be known of them.

    Without alarms `note` says why there is none.
    """

    alarms: tuple[str, ...] = ()
    note: str = ""


def _by(*alarms: str, note: str = "") -> Watched:
    return Watched(alarms=alarms, note=note)


def _none(why: str) -> Watched:
    return Watched(note=why)


CLOUDWATCH: Final = {
    "ServerDown": _by("unhealthy-targets", "balancer-errors"),
    "DatabaseUnreachable": _by("server-errors", "component-degraded", note="every request fails"),
    "ComponentDegraded": _by("component-degraded", note=_LINES),
    "RequestsFail": _by("server-errors", "balancer-errors", note="ten in five minutes"),
    "RequestsSlow": _by("latency-p95", note="five seconds, with uploads of models"),
    "WorkerDied": _none(_SERVER_ONLY),
    "ServerRestarted": _none("ECS starts another task in its place; its events say why the one before ended"),
    "OutOfMemory": _none("the stopped task's reason says it"),
    "MemoryHigh": _none("the figure `MemoryUtilization` is there, without an alarm"),
    "ConnectionsHigh": _by("database-connections"),
    "SchemaNotAtHead": _none(_SERVER_ONLY),
    "TemporarySpaceLow": _none(_SERVER_ONLY),
    "FiguresMissing": _none("it is for Prometheus"),
    "VerificationRed": _by("verification-red", note="of verifications inside the network"),
    "VerificationOld": _by("verification-old", note="with `verify.schedule`"),
    "ScheduledWorkFailed": _none(_ASKED),
    "BackupOld": _by("backup-old", note="with `backup.schedule`"),
    "DrillOld": _none("no drill runs there"),
    "CertificateEnds": _by("certificate-ends", note="by Certificate Manager's own figure, which may come a day late"),
    "DiskLow": _by("database-storage"),
    "ArtifactsGrow": _none("S3 has no end, and its figure `BucketSizeBytes` comes once a day"),
}
"""Of `ecs`. A stack of `eks` has those of the stores that AWS runs for it; the rest is Prometheus's."""

CLOUD_MONITORING: Final = {
    "ServerDown": _by("front-errors", note="instances that nobody calls end, and are none"),
    "DatabaseUnreachable": _by("server-errors", "component-degraded", note="every request fails"),
    "ComponentDegraded": _by("component-degraded", note=_LINES),
    "RequestsFail": _by("server-errors", "front-errors", note="ten in five minutes"),
    "RequestsSlow": _by("latency-p95", note="five seconds, with uploads of models"),
    "WorkerDied": _none(_SERVER_ONLY),
    "ServerRestarted": _none("instances come and go as they are needed"),
    "OutOfMemory": _none("the service's log says it"),
    "MemoryHigh": _none("the figure `container/memory/utilizations` is there, without a policy"),
    "ConnectionsHigh": _by("database-connections"),
    "SchemaNotAtHead": _none(_SERVER_ONLY),
    "TemporarySpaceLow": _none(_SERVER_ONLY),
    "FiguresMissing": _none("it is for Prometheus"),
    "VerificationRed": _by("verification-red", note="of verifications inside the network"),
    "VerificationOld": _by("verification-old", note="with `verify.schedule`, once one has passed"),
    "ScheduledWorkFailed": _by("backup-failed", "maintenance-failed", note="of a backup, of a scheduled maintenance"),
    "BackupOld": _none(f"a figure that is absent is waited for 23.5 hours at most; {_ASKED}"),
    "DrillOld": _none("no drill runs there"),
    "CertificateEnds": _none("Google renews its own"),
    "DiskLow": _by("database-storage"),
    "ArtifactsGrow": _none("buckets have no end"),
}
"""Of `cloudrun`."""


def described(watched: Watched) -> str:
    """Return one cell of the table in the runbook."""
    names = ", ".join(f"`{name}`" for name in watched.alarms)
    return f"{names} ({watched.note})" if names and watched.note else names or f"none: {watched.note}"
