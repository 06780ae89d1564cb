"""The log group of Container Insights: made, taken over, fixed and deleted, whoever made it before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws import insights
from mlflow_backend.aws.provider import InsightsLogsProvider
from tests.components.aws.emulated import emulated_aws
from tests.components.ecs.stacks import naming_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_logs import CloudWatchLogsClient

NAMING = naming_of("dev")
PROPS: dict[str, Any] = {
    "connection": {"region": NAMING.region},
    "group": NAMING.insights_group(), "retentionDays": 30, "tags": {"Stack": "dev"},
    "arn": NAMING.arn("logs", f"log-group:{NAMING.insights_group()}"),
}  # fmt: skip


@pytest.fixture
def logs() -> Iterator[CloudWatchLogsClient]:
    """An empty account."""
    with emulated_aws():
        yield insights.client(PROPS)


def _there(logs: CloudWatchLogsClient) -> list[int | None]:
    return [each.get("retentionInDays") for each in logs.describe_log_groups()["logGroups"]]


@pytest.mark.parametrize("made_by_the_service", [False, True])
def test_it_is_made_or_taken_over(logs: CloudWatchLogsClient, *, made_by_the_service: bool) -> None:
    """An update right after a destroy meets the group that Container Insights has made once more."""
    if made_by_the_service:
        logs.create_log_group(logGroupName=PROPS["group"])
    made = InsightsLogsProvider().create(PROPS)
    assert (made.id, _there(logs)) == (PROPS["group"], [30])
    assert logs.list_tags_for_resource(resourceArn=PROPS["arn"])["tags"] == {"Stack": "dev"}


def test_one_that_was_made_anew_for_ever_is_found_and_mended(logs: CloudWatchLogsClient) -> None:
    """Somebody deletes it, and the service makes it without a retention: the next update sees that."""
    provider = InsightsLogsProvider()
    provider.create(PROPS)
    assert not provider.diff("", PROPS, PROPS).changes
    assert provider.diff("", PROPS, {**PROPS, "retentionDays": 7}).changes
    logs.delete_log_group(logGroupName=PROPS["group"])
    assert provider.read("id", PROPS).id == ""
    logs.create_log_group(logGroupName=PROPS["group"])
    assert provider.read("id", PROPS).id == "id"
    assert provider.diff("", PROPS, PROPS).changes
    provider.update("", PROPS, PROPS)
    assert _there(logs) == [30]


def test_it_is_deleted_also_if_it_is_gone(logs: CloudWatchLogsClient) -> None:
    """A destroy that is repeated ends well."""
    provider = InsightsLogsProvider()
    provider.create(PROPS)
    for _ in range(2):
        provider.delete("", PROPS)
    assert _there(logs) == []
