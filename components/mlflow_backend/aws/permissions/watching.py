"""Permissions on what is watched: logs, alarms, their topic and the dashboard. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.aws.naming import LOG_GROUPS, TASKS_LOGS
from mlflow_backend.aws.permissions.grant import CHANGES, LOOKS, SERVES, WORKS, Grant, grant
from mlflow_backend.aws.render import alarms
from mlflow_backend.aws.render.database import database_plan

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.alarms import Alarm
    from mlflow_backend.settings import Settings


def grants(settings: Settings, naming: Naming) -> Iterator[Grant]:
    """Return the permissions on logs and alarms."""
    every = alarms.alarms(
        cluster=naming.cluster(),
        database=database_plan(settings),
        cache=True,
        certificate=True,
        scheduled=("backup", "verify"),
    )
    yield from _logs(naming)
    yield from of_alarms(settings, naming, every)


def _logs(naming: Naming) -> Iterator[Grant]:
    groups = [naming.log_group_arn(part) for part in LOG_GROUPS]
    every = tuple(
        f"{arn}{end}"
        for arn in (*groups, naming.arn("logs", f"log-group:{naming.insights_group()}"))
        for end in ("", ":*")
    )
    yield grant("FindLogs", LOOKS, "logs:DescribeLogGroups", "*")
    yield grant("LookAtLogs", LOOKS, "logs:DescribeMetricFilters ListTagsForResource", *every)
    # Why a task ended, and what a one-shot task answered.
    yield grant("ReadLogs", WORKS, "logs:GetLogEvents", *(f"{arn}:*" for arn in groups))
    yield grant(
        "CountRedVerdicts", SERVES, "logs:CreateLogStream PutLogEvents", f"{naming.log_group_arn(TASKS_LOGS)}:*"
    )
    yield grant(
        "ChangeLogs",
        CHANGES,
        "logs:AssociateKmsKey CreateLogGroup DeleteLogGroup DeleteMetricFilter PutMetricFilter "
        "PutRetentionPolicy TagResource UntagResource",
        *every,
    )


def of_alarms(settings: Settings, naming: Naming, every: Iterable[Alarm]) -> Iterator[Grant]:
    """Return the permissions on alarms, whether they are made or not, on their topic and the dashboard."""
    dashboard = (naming.global_arn("cloudwatch", f"dashboard/{naming.dashboard()}"),)
    yield grant(
        "LookAtAlarms", LOOKS, "cloudwatch:DescribeAlarms ListTagsForResource", naming.arn("cloudwatch", "alarm:*")
    )
    yield grant("LookAtDashboard", LOOKS, "cloudwatch:GetDashboard", *dashboard)
    yield grant(
        "ChangeAlarms",
        CHANGES,
        "cloudwatch:DeleteAlarms PutMetricAlarm TagResource UntagResource",
        *(naming.arn("cloudwatch", f"alarm:{naming.alarm(each.name)}") for each in every),
    )
    yield grant("ChangeDashboard", CHANGES, "cloudwatch:DeleteDashboards PutDashboard", *dashboard)
    if settings.aws.monitoring.topic is not None:
        return
    topic = naming.arn("sns", naming.topic())
    yield grant(
        "LookAtTopic",
        LOOKS,
        "sns:GetSubscriptionAttributes GetTopicAttributes ListSubscriptionsByTopic ListTagsForResource",
        topic,
        f"{topic}:*",
    )
    yield grant(
        "ChangeTopic",
        CHANGES,
        "sns:CreateTopic DeleteTopic SetSubscriptionAttributes SetTopicAttributes Subscribe TagResource "
        "Unsubscribe UntagResource",
        topic,
        f"{topic}:*",
    )
