"""Where a task's containers log, by its task definition: only CloudWatch can be read from."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mlflow_backend.aws.log_group import LogGroup
from mlflow_backend.ecs import reasons

TASK = {
    "taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/mlflow/0123abcd",
    "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/mlflow:7",
    "containers": [{"name": "server"}],
}


def clients(*containers: dict[str, Any]) -> Any:
    """AWS, as far as it tells of a task definition."""
    found = {"taskDefinition": {"containerDefinitions": list(containers)}}
    return SimpleNamespace(ecs=SimpleNamespace(describe_task_definition=lambda **_: found), logs=object())


def container(**options: str) -> dict[str, Any]:
    """A container's definition with these options of its log driver."""
    return {"name": "server", "logConfiguration": {"options": options}}


def test_the_stream_is_named_by_prefix_container_and_task() -> None:
    """As the awslogs driver names it."""
    aws = clients(container(**{"awslogs-group": "/mlflow/dev", "awslogs-stream-prefix": "tasks"}))
    expected = (LogGroup(client=aws.logs, name="/mlflow/dev"), "tasks/server/0123abcd")
    assert reasons.log_address(aws, TASK, "server") == expected


@pytest.mark.parametrize(
    "containers",
    [
        (),
        ({"name": "server"},),
        (container(tag="x"),),
        ({**container(**{"awslogs-group": "g", "awslogs-stream-prefix": "p"}), "name": "sidecar"},),
    ],
)
def test_a_container_that_logs_elsewhere_has_no_place(containers: tuple[dict[str, Any], ...]) -> None:
    """Its lines are left out of the reasons; nothing is guessed, and the other reasons are still told."""
    assert reasons.log_address(clients(*containers), TASK, "server") is None
    assert reasons.last_log_lines(clients(*containers), TASK) == []
