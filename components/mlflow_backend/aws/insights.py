"""The log group that Container Insights writes into: made before the cluster, taken over if it is there, deleted after.

The service makes the group by itself if it is not there, and may write once more after its cluster was deleted. So a
group of that name is nobody else's, and an update after a destroy takes it over instead of failing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_logs import CloudWatchLogsClient

REPLACING: Final = ("arn", "group")
_INPUTS: Final = ("connection", "group", "arn", "retentionDays", "tags")


def identifier(props: Mapping[str, Any]) -> str:
    """Return the group's name."""
    return str(props["group"])


def ensure(props: Mapping[str, Any]) -> Mapping[str, Any]:
    """Make the group, or take it over, with its retention and tags."""
    logs = client(props)
    try:
        logs.create_log_group(logGroupName=props["group"], tags=dict(props["tags"]))
    except logs.exceptions.ResourceAlreadyExistsException:
        logs.tag_resource(resourceArn=props["arn"], tags=dict(props["tags"]))
    logs.put_retention_policy(logGroupName=props["group"], retentionInDays=int(props["retentionDays"]))
    return props


def current(props: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the outputs; None if the group is gone."""
    return None if _retention(props) is None else props


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether something else is asked for, or the group has another retention: it was made anew without one."""
    return any(olds.get(key) != news.get(key) for key in _INPUTS) or _retention(news) != int(news["retentionDays"])


def delete(props: Mapping[str, Any]) -> None:
    """Delete the group, if it is there."""
    logs = client(props)
    try:
        logs.delete_log_group(logGroupName=props["group"])
    except logs.exceptions.ResourceNotFoundException:
        return


def client(props: Mapping[str, Any]) -> CloudWatchLogsClient:
    """Return the client of a resource's connection."""
    found: CloudWatchLogsClient = Connection.at(props["connection"]).client("logs")
    return found


def _retention(props: Mapping[str, Any]) -> int | None:
    """Return for how many days the group keeps lines, 0 for ever; None if it is not there."""
    found = client(props).describe_log_groups(logGroupNamePrefix=props["group"])["logGroups"]
    group = next((each for each in found if each["logGroupName"] == props["group"]), None)
    return None if group is None else group.get("retentionInDays", 0)
