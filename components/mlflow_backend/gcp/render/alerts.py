"""Alert policies of Cloud Monitoring, and the channel that they go to. Pure.

The figures are those that Google has of the parts that a stack makes; an adopted database or cache is its owner's to
watch. Thresholds are those of the alarms on AWS (mlflow_backend/aws/render/alarms.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.gcp.render.identity import VERIFIER
from mlflow_backend.gcp.render.scheduler import schedules
from mlflow_backend.monitoring import COMPONENT_DEGRADED_S, VERIFICATION_OLD_H
from mlflow_backend.report.quantities import MONTH, Billing, one
from mlflow_backend.schedules import BACKUP, MAINTENANCE
from mlflow_backend.settings.budget import accepted_connections, most_replicas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

_MINUTE_S: Final = 60
_CONNECTION_SHARE: Final = 0.8
_STORAGE_SHARE: Final = 0.85
_CACHE_MEMORY_SHARE: Final = 0.8
_ERRORS_IN_5_MINUTES: Final = 10
_P95_MS: Final = 5000
# Of what is read in lines, which may be many at once: one message in that time.
_QUIET_S: Final = 3600


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure of Google's that is above a threshold for some minutes.

    `filter` is its type and its resource. Points of one series are joined by `aligner`, and series by `reducer`.
    """

    name: str
    says: str
    filter: str
    threshold: float
    aligner: str
    reducer: str
    period_s: int = _MINUTE_S
    minutes: int = 5


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of a log, by a filter of Cloud Logging."""

    name: str
    says: str
    filter: str


@dataclass(frozen=True, kw_only=True)
class Absence:
    """A figure of Google's that has had no point for some hours, after it has had one.

    Google waits 23.5 hours at most, and says nothing of a figure that never had one ('Create metric-absence alerting
    policies').
    """

    name: str
    says: str
    filter: str
    hours: int


Alert = Figure | Line | Absence


def alerts(settings: Settings, naming: Naming, *, least: int) -> tuple[Alert, ...]:
    """Return what a backend is watched for; `least` are the instances that stay warm."""
    return (
        *_serving(settings, naming, least=least),
        *_lines(naming),
        *_stores(settings, naming),
        *_one_shots(settings, naming),
        *_verified(settings, naming),
    )


def policy(alert: Alert, settings: Settings, naming: Naming, *, channels: list[str]) -> dict[str, Any]:
    """Return the body of an alert's policy."""
    body: dict[str, Any] = {
        "displayName": f"{naming.service()} {alert.name}",
        "combiner": "OR",
        "conditions": [{"displayName": alert.says, **_condition(alert)}],
        "documentation": {"content": alert.says, "mimeType": "text/markdown"},
        "notificationChannels": channels,
        "userLabels": naming.labels(settings.tags),
    }
    if isinstance(alert, Line):
        # Google takes a condition on lines only with a limit of its messages.
        body["alertStrategy"] = {"notificationRateLimit": {"period": f"{_QUIET_S}s"}}
    return body


def channel(settings: Settings, naming: Naming) -> dict[str, Any] | None:
    """Return the body of the channel that is made; None if nobody's address is given."""
    address = settings.gcp.monitoring.email
    if address is None:
        return None
    return {
        "type": "email",
        "displayName": f"Alerts of {naming.service()}",
        "labels": {"email_address": address},
        "userLabels": naming.labels(settings.tags),
    }


def _condition(alert: Alert) -> dict[str, Any]:
    if isinstance(alert, Line):
        return {"conditionMatchedLog": {"filter": alert.filter}}
    if isinstance(alert, Absence):
        joined = {
            "alignmentPeriod": f"{_MINUTE_S}s",
            "perSeriesAligner": "ALIGN_DELTA",
            "crossSeriesReducer": "REDUCE_SUM",
        }
        duration = f"{alert.hours * 60 * _MINUTE_S}s"
        return {"conditionAbsent": {"filter": alert.filter, "duration": duration, "aggregations": [joined]}}
    return {
        "conditionThreshold": {
            "filter": alert.filter,
            "comparison": "COMPARISON_GT",
            "thresholdValue": alert.threshold,
            "duration": f"{alert.minutes * _MINUTE_S}s",
            "aggregations": [
                {
                    "alignmentPeriod": f"{alert.period_s}s",
                    "perSeriesAligner": alert.aligner,
                    "crossSeriesReducer": alert.reducer,
                }
            ],
        }
    }


def _serving(settings: Settings, naming: Naming, *, least: int) -> Iterator[Alert]:
    service = _of("cloud_run_revision", service_name=naming.service(), location=naming.region)
    yield Figure(
        name="server-errors",
        says="The backend answers with 5xx.",
        filter=f"{_metric('run.googleapis.com/request_count', response_code_class='5xx')} AND {service}",
        threshold=_ERRORS_IN_5_MINUTES,
        aligner="ALIGN_DELTA",
        reducer="REDUCE_SUM",
        period_s=5 * _MINUTE_S,
        minutes=0,
    )
    yield Figure(
        name="latency-p95",
        says=f"One request in twenty takes longer than {_P95_MS // 1000} seconds.",
        filter=f"{_metric('run.googleapis.com/request_latencies')} AND {service}",
        threshold=_P95_MS,
        aligner="ALIGN_DELTA",
        reducer="REDUCE_PERCENTILE_95",
    )
    most = most_replicas(settings)
    # With one alone, or with as many warm ones as there may be, it would say that the backend is used, or nothing.
    if most > max(least, 1):
        yield Figure(
            name="instances-at-most",
            says=f"All of {most} instances run (scaling.maxReplicas); more callers than they take are refused.",
            filter=f"{_metric('run.googleapis.com/container/instance_count')} AND {service}",
            threshold=most - 1,
            aligner="ALIGN_MAX",
            reducer="REDUCE_SUM",
        )


def _lines(naming: Naming) -> Iterator[Alert]:
    service = _of("cloud_run_revision", service_name=naming.service(), location=naming.region)
    yield Line(
        name="front-errors",
        says="The front gets no answer from the server beside it: it does not run, or ends in the middle of requests.",
        filter=f'{service} AND labels.container_name="front" AND jsonPayload.level="error"',
    )
    yield Line(
        name="component-degraded",
        says=f"Redis, the store or another component has not worked for {COMPONENT_DEGRADED_S // _MINUTE_S} minutes; "
        "the line in the server's log names it.",
        filter=f'{service} AND jsonPayload.kind="component" AND jsonPayload.state="failed"'
        f" AND jsonPayload.seconds>={COMPONENT_DEGRADED_S}",
    )
    job = _of("cloud_run_job", job_name=naming.job(VERIFIER), location=naming.region)
    yield Line(
        name="verification-red",
        says="A verification inside the network was red; its report is in the log of its job.",
        filter=f'{job} AND (jsonPayload.verdict="fail" OR jsonPayload.verdict="inconclusive")',
    )


def _stores(settings: Settings, naming: Naming) -> Iterator[Alert]:
    if settings.database.mode == "create":
        database = _of("cloudsql_database", database_id=f"{naming.project}:{naming.database()}")
        accepted = accepted_connections(settings)
        yield Figure(
            name="database-connections",
            says=f"The database has more than {_CONNECTION_SHARE:.0%} of its {accepted} connections in use.",
            filter=f"{_metric('cloudsql.googleapis.com/database/postgresql/num_backends')} AND {database}",
            threshold=accepted * _CONNECTION_SHARE,
            aligner="ALIGN_MAX",
            # There is a series for each database of the instance.
            reducer="REDUCE_SUM",
        )
        yield Figure(
            name="database-storage",
            says=f"The database uses more than {_STORAGE_SHARE:.0%} of its storage.",
            filter=f"{_metric('cloudsql.googleapis.com/database/disk/utilization')} AND {database}",
            threshold=_STORAGE_SHARE,
            aligner="ALIGN_MAX",
            reducer="REDUCE_MAX",
        )
    if settings.cache.mode == "create":
        cache = _of("redis_instance", instance_id=f"{naming.parent}/instances/{naming.cache()}")
        yield Figure(
            name="cache-memory",
            says=f"The cache uses more than {_CACHE_MEMORY_SHARE:.0%} of its memory; when it is full, jobs fail.",
            filter=f"{_metric('redis.googleapis.com/stats/memory/usage_ratio')} AND {cache}",
            threshold=_CACHE_MEMORY_SHARE,
            aligner="ALIGN_MAX",
            reducer="REDUCE_MAX",
        )


def _one_shots(settings: Settings, naming: Naming) -> Iterator[Alert]:
    watched = {
        BACKUP: settings.backup.destination is not None,
        MAINTENANCE: MAINTENANCE in schedules(settings),
    }
    for part in (part for part, is_watched in watched.items() if is_watched):
        yield Figure(
            name=f"{part}-failed",
            says=f"A {part} failed; what it said is in the log of its job.",
            filter=_executions(naming, part, result="failed"),
            threshold=0,
            aligner="ALIGN_DELTA",
            reducer="REDUCE_SUM",
            period_s=5 * _MINUTE_S,
            minutes=0,
        )


def _verified(settings: Settings, naming: Naming) -> Iterator[Alert]:
    """Of an age of backups nothing is here: two daily ones are further apart than Google waits for a figure."""
    if VERIFIER in schedules(settings):
        yield Absence(
            name="verification-old",
            says=f"No verification has passed for {VERIFICATION_OLD_H} hours.",
            filter=_executions(naming, VERIFIER, result="succeeded"),
            hours=VERIFICATION_OLD_H,
        )


def _executions(naming: Naming, part: str, *, result: str) -> str:
    job = _of("cloud_run_job", job_name=naming.job(part), location=naming.region)
    return f"{_metric('run.googleapis.com/job/completed_execution_count', result=result)} AND {job}"


def _metric(kind: str, **labels: str) -> str:
    return _and(f'metric.type="{kind}"', *(f'metric.labels.{key}="{each}"' for key, each in labels.items()))


def _of(kind: str, **labels: str) -> str:
    return _and(f'resource.type="{kind}"', *(f'resource.labels.{key}="{each}"' for key, each in labels.items()))


def _and(*terms: str) -> str:
    return " AND ".join(terms)


BILLING: Final = {
    "gcp:monitoring/alertPolicy:AlertPolicy": Billing(
        counted=one("gcp-alert-condition", "Cloud Monitoring alert condition", "condition", MONTH),
        by_use=("figures that alerts read",),
    ),
}
