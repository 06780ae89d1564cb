"""Alarms and dashboards, and the logs that alarms count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account

_ALARM: Final = (
    "name alarmDescription namespace metricName dimensions statistic extendedStatistic comparisonOperator threshold "
    "period evaluationPeriods treatMissingData alarmActions okActions insufficientDataActions actionsEnabled unit "
    "datapointsToAlarm"
)
_FILTER: Final = "name logGroupName pattern metricTransformation"


def _retain(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    name = {"logGroupName": is_["id"]}
    # 0 is how the SDK says 'for ever'.
    if wanted.get("retentionInDays"):
        account.call("logs", "put_retention_policy", {**name, "retentionInDays": wanted["retentionInDays"]})
    else:
        account.call("logs", "delete_retention_policy", name)


def _encrypt(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    account.call("logs", "associate_kms_key", {"logGroupName": is_["id"], "kmsKeyId": wanted["kmsKeyId"]})


def _arn(_: Account, __: Mapping[str, Any], found: dict[str, Any]) -> None:
    """The API's ARN of a log group ends in ':*', which the real provider takes off."""
    found["arn"] = found["arn"].removesuffix(":*")


def _dimensions(_: Account, seen: Mapping[str, Any], found: dict[str, Any]) -> None:
    found["dimensions"] = {each["Name"]: each["Value"] for each in seen.get("Dimensions", [])}


RESOURCES: Final = (
    Translation(
        token="aws:cloudwatch/logGroup:LogGroup",
        service="logs",
        id="{name}",
        create=Operation(call="create_log_group", takes="name kmsKeyId"),
        read=Operation(
            call="describe_log_groups",
            keys={"logGroupNamePrefix": "{name}"},
            answer="logGroups[?logGroupName=='$name'] | [0]",
        ),
        after_read=_arn,
        updates=(Step(takes="retentionInDays", run=_retain), Step(takes="kmsKeyId", run=_encrypt)),
        delete=Operation(call="delete_log_group", keys={"logGroupName": "{name}"}),
        names={"name": "logGroupName"},
        named="name",
    ),
    Translation(
        token="aws:cloudwatch/logMetricFilter:LogMetricFilter",
        service="logs",
        id="{logGroupName}:{name}",
        create=Operation(call="put_metric_filter", takes=_FILTER),
        read=Operation(
            call="describe_metric_filters",
            keys={"logGroupName": "{logGroupName}", "filterNamePrefix": "{name}"},
            answer="metricFilters[?filterName=='$name'] | [0]",
            gives={"metricTransformation": "metricTransformations[0]"},
        ),
        updates=(
            Operation(
                call="put_metric_filter",
                takes="pattern metricTransformation",
                keys={"logGroupName": "{logGroupName}", "filterName": "{name}"},
            ),
        ),
        delete=Operation(call="delete_metric_filter", keys={"logGroupName": "{logGroupName}", "filterName": "{name}"}),
        names={
            "name": "filterName",
            "pattern": "filterPattern",
            "metricTransformation": "metricTransformations",
            "metricTransformation.name": "metricName",
            "metricTransformation.namespace": "metricNamespace",
            "metricTransformation.value": "metricValue",
        },
        outward={"metricTransformation": lambda one: [one]},
        named="name",
    ),
    Translation(
        token="aws:cloudwatch/metricAlarm:MetricAlarm",
        service="cloudwatch",
        id="{name}",
        create=Operation(call="put_metric_alarm", takes=_ALARM),
        read=Operation(
            call="describe_alarms",
            keys={"AlarmNames": ["{name}"]},
            answer="MetricAlarms[0]",
        ),
        after_read=_dimensions,
        # Putting it anew is its update; only its name is another alarm.
        updates=(
            Operation(
                call="put_metric_alarm",
                takes=_ALARM.removeprefix("name "),
                keys={"AlarmName": "{name}"},
            ),
        ),
        delete=Operation(call="delete_alarms", keys={"AlarmNames": ["{name}"]}),
        names={"name": "AlarmName", "arn": "AlarmArn"},
        outward={"dimensions": lambda named: [{"name": key, "value": value} for key, value in sorted(named.items())]},
        unordered=frozenset({"alarmActions", "okActions", "insufficientDataActions"}),
        named="name",
    ),
    Translation(
        token="aws:cloudwatch/dashboard:Dashboard",
        service="cloudwatch",
        id="{dashboardName}",
        create=Operation(call="put_dashboard", takes="dashboardName dashboardBody"),
        read=Operation(call="get_dashboard", keys={"DashboardName": "{dashboardName}"}),
        updates=(Operation(call="put_dashboard", takes="dashboardBody", keys={"DashboardName": "{dashboardName}"}),),
        delete=Operation(call="delete_dashboards", keys={"DashboardNames": ["{dashboardName}"]}),
        documents=frozenset({"dashboardBody"}),
    ),
)
