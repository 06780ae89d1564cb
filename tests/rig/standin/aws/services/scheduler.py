"""Schedules of EventBridge Scheduler that start tasks of ECS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Translation

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALL: Final = "name scheduleExpression scheduleExpressionTimezone flexibleTimeWindow target"
_TARGET: Final = (
    "Target.{arn: Arn, roleArn: RoleArn, input: Input, "
    "ecsParameters: EcsParameters.{taskDefinitionArn: TaskDefinitionArn, launchType: LaunchType, taskCount: TaskCount, "
    "networkConfiguration: NetworkConfiguration.awsvpcConfiguration.{subnets: Subnets, securityGroups: SecurityGroups, "
    "assignPublicIp: AssignPublicIp == 'ENABLED'}}, "
    "retryPolicy: RetryPolicy.{maximumEventAgeInSeconds: MaximumEventAgeInSeconds, "
    "maximumRetryAttempts: MaximumRetryAttempts}}"
)


def _target(wanted: Mapping[str, Any]) -> dict[str, Any]:
    task = wanted["ecsParameters"]
    network = task["networkConfiguration"]
    public = "ENABLED" if network.get("assignPublicIp") else "DISABLED"
    placed = {"networkConfiguration": {"awsvpcConfiguration": {**network, "assignPublicIp": public}}}
    return {**wanted, "ecsParameters": {**task, **placed}}


RESOURCES: Final = (
    Translation(
        token="aws:scheduler/schedule:Schedule",
        service="scheduler",
        id="default/{name}",
        parts="{group}/{name}",
        create=Operation(call="create_schedule", takes=_ALL),
        read=Operation(call="get_schedule", keys={"Name": "{name}"}, gives={"target": _TARGET}),
        updates=(Operation(call="update_schedule", takes=_ALL.partition(" ")[2], keys={"Name": "{name}"}),),
        delete=Operation(call="delete_schedule", keys={"Name": "{name}"}),
        outward={"target": _target},
        unordered=frozenset({"target"}),
        named="name",
    ),
)
