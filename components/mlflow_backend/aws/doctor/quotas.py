"""The quotas that a backend can meet: how much it takes, how much is in use, and how much the account may have."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered
from mlflow_backend.aws.render.network import network_plan
from mlflow_backend.findings import failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.aws.asking import Account
    from mlflow_backend.findings import Finding
    from mlflow_backend.settings import Settings

# AWS/Usage has a value every five minutes (Amazon CloudWatch user guide, 'AWS usage metrics').
_USAGE_PERIOD_S: Final = 300
_USAGE_PERIODS: Final = 3


@dataclass(frozen=True, kw_only=True)
class Quota:
    """One quota of Service Quotas. `counted` lists what is in use: service, operation and key of its answer.

    Without it the metric that the quota itself names is read.
    """

    service: str
    code: str
    what: str
    prop: str
    counted: tuple[str, str, str] | None = None


# Codes as AWS lists them by `aws service-quotas list-service-quotas --service-code SERVICE`.
ADDRESSES: Final = Quota(
    service="ec2", code="L-0263D0A3", what="Elastic IP addresses", prop="aws.network.egress",
    counted=("ec2", "describe_addresses", "Addresses"),
)  # fmt: skip
NETWORKS: Final = Quota(
    service="vpc", code="L-F678F1CE", what="VPCs", prop="network.mode", counted=("ec2", "describe_vpcs", "Vpcs")
)


def network(settings: Settings) -> dict[Quota, int]:
    """Return how much of each quota the network of a backend takes."""
    if settings.network.mode != "create":
        return {}
    return {NETWORKS: 1, ADDRESSES: network_plan(settings).gateways}


def check(account: Account, needed: Mapping[Quota, int], *, deployed: bool) -> Iterator[Finding]:
    """Compare each quota with how much `needed` says that the backend takes at most, beside what is in use.

    What a deployed backend takes is in use already.
    """
    for quota, number in needed.items():
        if number:
            yield _one(account, quota, number, deployed=deployed)


def _one(account: Account, quota: Quota, number: int, *, deployed: bool) -> Finding:
    check = f"quota {quota.code}"
    named = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    answer = account.ask("service-quotas", "get_service_quota", **named)
    if isinstance(answer, Unanswered) and not answer.denied:
        # A quota that nobody has changed may have its default alone (Service Quotas API, GetServiceQuota).
        answer = account.ask("service-quotas", "get_aws_default_service_quota", **named)
    if isinstance(answer, Unanswered):
        return skipped(check, quota.prop, f"the quota of {quota.what} could not be asked: {answer.why}.")
    limit = int(answer["Quota"]["Value"])
    used = 0 if deployed else _used(account, quota, answer["Quota"])
    if isinstance(used, Unanswered):
        return skipped(check, quota.prop, f"how many {quota.what} are in use could not be asked: {used.why}.")
    said = f"the account may have {limit} {quota.what}, {used} are in use, and the stack takes up to {number}."
    if used + number <= limit:
        return passed(check, quota.prop, said)
    return failed(
        check,
        quota.prop,
        said,
        "Ask for more, which takes AWS minutes to days, or free some.",
        f"aws service-quotas request-service-quota-increase --service-code {quota.service} --quota-code {quota.code} "
        f"--desired-value {used + number} --region {account.region}",
    )


def _used(account: Account, quota: Quota, described: Any) -> Any:
    if quota.counted is not None:
        service, operation, key = quota.counted
        answer = account.ask(service, operation)
        return answer if isinstance(answer, Unanswered) else len(answer[key])
    metric = described.get("UsageMetric")
    if not metric:
        return Unanswered(why="the quota names no metric of its use", denied=True)
    now, statistic = datetime.now(UTC), metric.get("MetricStatisticRecommendation", "Maximum")
    answer = account.ask(
        "cloudwatch",
        "get_metric_statistics",
        Namespace=metric["MetricNamespace"],
        MetricName=metric["MetricName"],
        Dimensions=[{"Name": name, "Value": value} for name, value in sorted(metric["MetricDimensions"].items())],
        StartTime=now - timedelta(seconds=_USAGE_PERIODS * _USAGE_PERIOD_S),
        EndTime=now,
        Period=_USAGE_PERIOD_S,
        Statistics=[statistic],
    )
    if isinstance(answer, Unanswered):
        return answer
    return math.ceil(max((point[statistic] for point in answer["Datapoints"]), default=0))
