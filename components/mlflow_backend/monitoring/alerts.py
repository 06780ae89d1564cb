"""The table of alerts: what is wrong by which figure, from when on, and how urgent it is. Pure.

The figures are of the server's plugin (server/README.md). Each alert has a section of docs/runbooks/monitoring.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

RUNBOOK: Final = "docs/runbooks/monitoring.md"
_MINUTE_S: Final = 60
_HOUR_S: Final = 60 * _MINUTE_S
COMPONENT_DEGRADED_S: Final = 5 * _MINUTE_S
"""For how long a component does not work before somebody is woken, on clouds too."""
VERIFICATION_OLD_H: Final = 3
BACKUP_OLD_H: Final = 26
"""How many hours ago the last one passed, or was taken, before somebody is woken, on clouds too."""
CERTIFICATE_DAYS: Final = 14
"""How many days before a certificate ends somebody is told, on clouds too."""
# Probes are most of the requests of a quiet server, and would hide failures and slowness.
_PROBES: Final = "/health.*"
# Models take long to copy, and a gateway's provider long to answer; both are healthy.
_LONG: Final = f"{_PROBES}|.*artifact.*|/gateway/.*"
# Ten requests in five minutes: of fewer, one that fails is no share.
_LEAST_RATE: Final = 0.03


@dataclass(frozen=True, kw_only=True)
class Alert:
    """One alert: it fires once `expression`, compared with `threshold`, has been true for `for_s` seconds.

    `$own` in the expression stands for the labels that select one backend. `critical` is for users who are stopped,
    `warning` for what will stop them.
    """

    name: str
    summary: str
    expression: str
    comparison: Literal["<", ">"]
    threshold: float
    for_s: int
    severity: Literal["critical", "warning"] = "warning"

    @property
    def runbook(self) -> str:
        """Its section of the runbook."""
        return f"{RUNBOOK}#{self.name.lower()}"


def _rate(status: str = "") -> str:
    return f'sum(rate(mlflow_backend_http_requests_total{{$own, route!~"{_PROBES}"{status}}}[5m]))'


# What is asked for figures of the whole stack has the label `part`; servers have none.
ALERTS: Final = (
    Alert(
        name="ServerDown",
        summary="No server of the backend answers Prometheus.",
        expression='(max(up{$own, part=""}) or vector(0))',
        comparison="<",
        threshold=1,
        for_s=2 * _MINUTE_S,
        severity="critical",
    ),
    Alert(
        name="DatabaseUnreachable",
        summary="The server cannot use its database: every request fails.",
        expression='max(mlflow_backend_component_up{$own, component="database"})',
        comparison="<",
        threshold=1,
        for_s=_MINUTE_S,
        severity="critical",
    ),
    Alert(
        name="ComponentDegraded",
        summary="A component of the backend has not worked for five minutes: {{ $labels.component }}.",
        expression="min by (component) (mlflow_backend_component_up{$own})",
        comparison="<",
        threshold=1,
        for_s=COMPONENT_DEGRADED_S,
    ),
    Alert(
        name="RequestsFail",
        summary="More than a tenth of all requests are answered with 5xx.",
        expression=f"""{_rate(', status=~"5.."')} / ({_rate()} > {_LEAST_RATE})""",
        comparison=">",
        threshold=0.1,
        for_s=5 * _MINUTE_S,
        severity="critical",
    ),
    Alert(
        name="RequestsSlow",
        summary="One request in twenty takes longer than two seconds.",
        expression="histogram_quantile(0.95, sum by (le) (rate("
        f'mlflow_backend_http_request_duration_seconds_bucket{{$own, route!~"{_LONG}"}}[5m])))',
        comparison=">",
        threshold=2,
        for_s=10 * _MINUTE_S,
    ),
    Alert(
        name="WorkerDied",
        summary="A worker process of the server ended in the last quarter of an hour, with the requests it served.",
        expression="sum(increase(mlflow_backend_worker_deaths_total{$own}[15m]))",
        comparison=">",
        threshold=0,
        for_s=0,
    ),
    Alert(
        name="ServerRestarted",
        summary="A server started again in the last quarter of an hour at the same address.",
        expression="max(changes(mlflow_backend_start_time_seconds{$own}[15m]))",
        comparison=">",
        threshold=0,
        for_s=0,
    ),
    Alert(
        name="OutOfMemory",
        summary="The kernel killed a process of the server for want of memory.",
        expression="sum(increase(mlflow_backend_memory_kills_total{$own}[15m]))",
        comparison=">",
        threshold=0,
        for_s=0,
        severity="critical",
    ),
    Alert(
        name="MemoryHigh",
        summary="A server uses more than nine tenths of its memory.",
        expression="max(mlflow_backend_memory_bytes{$own} / mlflow_backend_memory_limit_bytes{$own})",
        comparison=">",
        threshold=0.9,
        for_s=10 * _MINUTE_S,
    ),
    Alert(
        name="ConnectionsHigh",
        summary="More than four fifths of the database's connections are in use.",
        expression="max(sum by (instance) (mlflow_backend_database_connections{$own})"
        " / on (instance) mlflow_backend_database_connections_limit{$own})",
        comparison=">",
        threshold=0.8,
        for_s=5 * _MINUTE_S,
    ),
    Alert(
        name="SchemaNotAtHead",
        summary="A database is not at the schema head of the MLflow that serves it: {{ $labels.chain }}.",
        expression="min by (chain) (mlflow_backend_schema_at_head{$own})",
        comparison="<",
        threshold=1,
        for_s=15 * _MINUTE_S,
        severity="critical",
    ),
    Alert(
        name="TemporarySpaceLow",
        summary="A server has less than a tenth of its temporary space left; artifacts are answered 503 without any.",
        expression='min(mlflow_backend_temporary_bytes{$own, state="free"}'
        " / ignoring (state) sum without (state) (mlflow_backend_temporary_bytes{$own}))",
        comparison="<",
        threshold=0.1,
        for_s=5 * _MINUTE_S,
    ),
    Alert(
        name="FiguresMissing",
        summary="Servers answer, and none has figures of the database: the alerts on them cannot fire.",
        expression='(count(up{$own, part=""} == 1) unless count(mlflow_backend_database_size_bytes{$own}))',
        comparison=">",
        threshold=0,
        for_s=15 * _MINUTE_S,
    ),
    Alert(
        name="VerificationRed",
        summary="The last verification of the backend did not pass.",
        expression="min(mlflow_backend_verification_passed{$own})",
        comparison="<",
        threshold=1,
        for_s=0,
    ),
    Alert(
        name="VerificationOld",
        summary="The last scheduled verification that passed was more than three hours ago.",
        expression='time() - max(mlflow_backend_work_done_time_seconds{$own, work="verification"})',
        comparison=">",
        threshold=VERIFICATION_OLD_H * _HOUR_S,
        for_s=0,
    ),
    Alert(
        name="ScheduledWorkFailed",
        summary="Work on a schedule failed the last time: {{ $labels.work }}.",
        expression="max by (work) (mlflow_backend_work_failed{$own})",
        comparison=">",
        threshold=0,
        for_s=0,
    ),
    Alert(
        name="BackupOld",
        summary="The last backup was done more than 26 hours ago.",
        expression='time() - max(mlflow_backend_work_done_time_seconds{$own, work="backup"})',
        comparison=">",
        threshold=BACKUP_OLD_H * _HOUR_S,
        for_s=0,
    ),
    Alert(
        name="DrillOld",
        summary="The last drill of a backup was done more than eight days ago.",
        expression='time() - max(mlflow_backend_work_done_time_seconds{$own, work="drill"})',
        comparison=">",
        threshold=8 * 24 * _HOUR_S,
        for_s=0,
    ),
    Alert(
        name="CertificateEnds",
        summary="The certificate of the public URL ends in less than 14 days.",
        expression="min(mlflow_backend_certificate_end_time_seconds{$own}) - time()",
        comparison="<",
        threshold=CERTIFICATE_DAYS * 24 * _HOUR_S,
        for_s=0,
    ),
    Alert(
        name="DiskLow",
        summary="The disk that holds the stack has less than a tenth of its space left.",
        expression='min(mlflow_backend_disk_bytes{$own, state="free"}'
        " / ignoring (state) sum without (state) (mlflow_backend_disk_bytes{$own}))",
        comparison="<",
        threshold=0.1,
        for_s=5 * _MINUTE_S,
    ),
    Alert(
        name="ArtifactsGrow",
        summary="In a day artifacts grew by more than a twentieth of the disk.",
        expression="sum(delta(mlflow_backend_artifact_bytes{$own}[1d])) / sum(mlflow_backend_disk_bytes{$own})",
        comparison=">",
        threshold=0.05,
        for_s=15 * _MINUTE_S,
    ),
)
