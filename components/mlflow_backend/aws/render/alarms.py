"""The alarms of a backend on AWS, and its dashboard. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from mlflow_backend.aws.naming import SERVER_LOGS, TASKS_LOGS
from mlflow_backend.monitoring import BACKUP_OLD_H, CERTIFICATE_DAYS, COMPONENT_DEGRADED_S, VERIFICATION_OLD_H
from mlflow_backend.report.quantities import MONTH, Billing, one
from mlflow_backend.tokens import AWS_INSIGHTS_LOGS

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from mlflow_backend.aws.render.database import DatabasePlan

Comparison = Literal["GreaterThanThreshold", "GreaterThanOrEqualToThreshold", "LessThanThreshold"]
Dimension = Literal["balancer", "targets", "certificate", "database", "cache"]

_GIB: Final = 1024**3
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S

# Thresholds that have to do with size are shares, those that have to do with users are counts and seconds.
_CONNECTION_SHARE: Final = 0.8
_STORAGE_SHARE: Final = 0.15
_CACHE_MEMORY_PERCENT: Final = 80
_ERRORS_IN_5_MINUTES: Final = 10
# Uploads of models take long and are healthy: the 95th percentile is allowed what no API call should need.
_P95_S: Final = 5

VERIFICATION_RED: Final = "VerificationRed"
VERIFICATION_PASSED: Final = "VerificationPassed"
BACKUP_DONE: Final = "BackupDone"
COMPONENT_DEGRADED: Final = "ComponentDegraded"


@dataclass(frozen=True, kw_only=True)
class Counted:
    """A metric of the project's own: how many lines of a log match a pattern."""

    metric: str
    pattern: str
    logs: str = TASKS_LOGS


COUNTED: Final[Mapping[str, Counted]] = {
    "component-degraded": Counted(
        metric=COMPONENT_DEGRADED,
        pattern=f'{{ ($.kind = "component") && ($.state = "failed") && ($.seconds >= {COMPONENT_DEGRADED_S}) }}',
        logs=SERVER_LOGS,
    ),
    "verification-red": Counted(
        metric=VERIFICATION_RED, pattern='{ ($.verdict = "fail") || ($.verdict = "inconclusive") }'
    ),
    "verification-passed": Counted(metric=VERIFICATION_PASSED, pattern='{ $.verdict = "pass" }'),
    "backup-done": Counted(metric=BACKUP_DONE, pattern='{ $.backedUp = "*" }'),
}
"""By the names of their filters."""


@dataclass(frozen=True, kw_only=True)
class Alarm:
    """One CloudWatch alarm. `dimensions`: CloudWatch's name -> the part whose identifier goes there.

    `guards` marks those that fail a deployment which sets them off.
    """

    name: str
    says: str
    namespace: str
    metric: str
    dimensions: Mapping[str, Dimension]
    threshold: float
    comparison: Comparison = "GreaterThanThreshold"
    statistic: str | None = "Sum"
    percentile: str | None = None
    period_s: int = _MINUTE_S
    periods: int = 5
    missing: Literal["notBreaching", "breaching", "missing"] = "notBreaching"
    guards: bool = field(default=False)


_BEHIND: Final[Mapping[str, Dimension]] = {"LoadBalancer": "balancer", "TargetGroup": "targets"}


def namespace(cluster: str) -> str:
    """Return the namespace of one backend's own metrics; a metric made of logs has no dimension for it."""
    return f"MlflowBackend/{cluster}"


def alarms(
    *, cluster: str, database: DatabasePlan | None, cache: bool, certificate: bool, scheduled: Collection[str]
) -> tuple[Alarm, ...]:
    """Return the alarms of a backend; an adopted database or cache is its owner's to watch.

    `scheduled` are the parts that start on a schedule: `backup`, `verify`.
    """
    found = [*_serving(), _degraded(cluster), _verification(cluster)]
    if "verify" in scheduled:
        found.append(
            _too_old(
                cluster,
                name="verification-old",
                says=f"No verification has passed for {VERIFICATION_OLD_H} hours.",
                metric=VERIFICATION_PASSED,
                hours=VERIFICATION_OLD_H,
            )
        )
    if "backup" in scheduled:
        found.append(
            _too_old(
                cluster,
                name="backup-old",
                says=f"No backup was taken for {BACKUP_OLD_H} hours.",
                metric=BACKUP_DONE,
                hours=BACKUP_OLD_H,
            )
        )
    if certificate:
        found.append(_certificate())
    return (*found, *of_stores(database=database, cache=cache))


def of_stores(*, database: DatabasePlan | None, cache: bool) -> tuple[Alarm, ...]:
    """Return the alarms of a database and a cache that are the backend's own."""
    found = [] if database is None else _database(database)
    if cache:
        found.append(
            Alarm(
                name="cache-memory",
                says=f"The cache uses more than {_CACHE_MEMORY_PERCENT} % of its memory; when it is full, jobs fail.",
                namespace="AWS/ElastiCache",
                metric="DatabaseMemoryUsagePercentage",
                dimensions={"CacheClusterId": "cache"},
                statistic="Maximum",
                threshold=_CACHE_MEMORY_PERCENT,
            )
        )
    return tuple(found)


def first_node(replication_group: str) -> str:
    """Return the identifier under which ElastiCache reports: it counts by node, and all hold the same data."""
    return f"{replication_group}-001"


def dashboard(*, region: str, identifiers: Mapping[str, str], found: tuple[Alarm, ...]) -> dict[str, Any]:
    """Return the dashboard's body: one graph an alarm, with its threshold drawn in."""
    widgets = []
    for number, alarm in enumerate(found):
        dimensions = [part for name, kind in alarm.dimensions.items() for part in (name, identifiers[kind])]
        widgets.append({
            "type": "metric",
            "x": 8 * (number % 3),
            "y": 6 * (number // 3),
            "width": 8,
            "height": 6,
            "properties": {
                "title": alarm.name,
                "region": region,
                "view": "timeSeries",
                "stat": alarm.percentile or alarm.statistic,
                "period": alarm.period_s,
                "metrics": [[alarm.namespace, alarm.metric, *dimensions]],
                "annotations": {"horizontal": [{"label": "alarm", "value": alarm.threshold}]},
            },
        })  # fmt: skip
    return {"widgets": widgets}


def _serving() -> list[Alarm]:
    return [
        Alarm(
            name="server-errors",
            says="The server answers with 5xx.",
            namespace="AWS/ApplicationELB",
            metric="HTTPCode_Target_5XX_Count",
            dimensions=_BEHIND,
            threshold=_ERRORS_IN_5_MINUTES,
            period_s=5 * _MINUTE_S,
            periods=1,
            guards=True,
        ),
        Alarm(
            name="balancer-errors",
            says="The balancer answers with 5xx by itself: no task is there, or one closed the connection.",
            namespace="AWS/ApplicationELB",
            metric="HTTPCode_ELB_5XX_Count",
            dimensions={"LoadBalancer": "balancer"},
            threshold=_ERRORS_IN_5_MINUTES,
            period_s=5 * _MINUTE_S,
            periods=1,
        ),
        Alarm(
            name="unhealthy-targets",
            says="A task does not answer the balancer's check.",
            namespace="AWS/ApplicationELB",
            metric="UnHealthyHostCount",
            dimensions=_BEHIND,
            statistic="Maximum",
            threshold=0,
        ),
        Alarm(
            name="latency-p95",
            says=f"One request in twenty takes longer than {_P95_S} seconds.",
            namespace="AWS/ApplicationELB",
            metric="TargetResponseTime",
            dimensions=_BEHIND,
            statistic=None,
            percentile="p95",
            threshold=_P95_S,
        ),
    ]


def _degraded(cluster: str) -> Alarm:
    return Alarm(
        name="component-degraded",
        says=f"Redis, the store or another component has not worked for {COMPONENT_DEGRADED_S // _MINUTE_S} minutes; "
        "the server's log names it.",
        namespace=namespace(cluster),
        metric=COMPONENT_DEGRADED,
        dimensions={},
        threshold=0,
        periods=1,
    )


def _verification(cluster: str) -> Alarm:
    return Alarm(
        name="verification-red",
        says="A verification inside the network was red; its report is in the log group of the one-shot tasks.",
        namespace=namespace(cluster),
        metric=VERIFICATION_RED,
        dimensions={},
        threshold=0,
        periods=1,
    )


def _too_old(cluster: str, *, name: str, says: str, metric: str, hours: int) -> Alarm:
    """Return the alarm on an event that did not happen in any of the last hours."""
    return Alarm(
        name=name,
        says=says,
        namespace=namespace(cluster),
        metric=metric,
        dimensions={},
        comparison="LessThanThreshold",
        threshold=1,
        period_s=_HOUR_S,
        periods=hours,
        # An hour without the event has no figure at all.
        missing="breaching",
    )


def _certificate() -> Alarm:
    return Alarm(
        name="certificate-ends",
        says=f"The certificate ends in {CERTIFICATE_DAYS} days: it was imported, or cannot be renewed.",
        namespace="AWS/CertificateManager",
        metric="DaysToExpiry",
        dimensions={"CertificateArn": "certificate"},
        statistic="Minimum",
        comparison="LessThanThreshold",
        threshold=CERTIFICATE_DAYS,
        period_s=_DAY_S,
        periods=1,
        # The figure ends with the certificate (AWS CDK's reference, ICertificate.metricDaysToExpiry).
        missing="breaching",
    )


def _database(plan: DatabasePlan) -> list[Alarm]:
    connections = next(int(each.value) for each in plan.parameters if each.name == "max_connections")
    where: Mapping[str, Dimension] = {"DBInstanceIdentifier": "database"}
    return [
        Alarm(
            name="database-connections",
            says=f"The database has more than {_CONNECTION_SHARE:.0%} of its {connections} connections in use.",
            namespace="AWS/RDS",
            metric="DatabaseConnections",
            dimensions=where,
            statistic="Maximum",
            threshold=connections * _CONNECTION_SHARE,
        ),
        Alarm(
            name="database-storage",
            says=f"The database has less than {_STORAGE_SHARE:.0%} of {plan.storage_gib} GiB free.",
            namespace="AWS/RDS",
            metric="FreeStorageSpace",
            dimensions=where,
            statistic="Minimum",
            comparison="LessThanThreshold",
            threshold=plan.storage_gib * _GIB * _STORAGE_SHARE,
        ),
    ]


_BY_LINES: Final = Billing(by_use=("log lines taken in", "log lines kept"))
BILLING: Final[Mapping[str, Billing]] = {
    "aws:cloudwatch/logGroup:LogGroup": _BY_LINES,
    AWS_INSIGHTS_LOGS: _BY_LINES,
    "aws:cloudwatch/metricAlarm:MetricAlarm": Billing(counted=one("alarm", "CloudWatch alarm", "alarm", MONTH)),
    "aws:cloudwatch/logMetricFilter:LogMetricFilter": Billing(
        counted=one("metric", "CloudWatch custom metric", "metric", MONTH)
    ),
    "aws:cloudwatch/dashboard:Dashboard": Billing(counted=one("dashboard", "CloudWatch dashboard", "dashboard", MONTH)),
    "aws:sns/topic:Topic": Billing(by_use=("notifications",)),
}
