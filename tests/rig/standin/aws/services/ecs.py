"""Clusters, task definitions and services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Translation, Wait
from tests.rig.standin.base import Gone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account

_SERVICE: Final = {"cluster": "{cluster}", "services": ["{name}"]}
_NETWORK: Final = (
    "networkConfiguration.awsvpcConfiguration.{subnets: subnets, securityGroups: securityGroups, "
    "assignPublicIp: assignPublicIp == 'ENABLED'}"
)
_CHANGED: Final = (
    "taskDefinition desiredCount deploymentMinimumHealthyPercent deploymentMaximumPercent deploymentCircuitBreaker "
    "alarms healthCheckGracePeriodSeconds loadBalancers networkConfiguration enableEcsManagedTags propagateTags "
    "forceNewDeployment"
)


def _network(wanted: Mapping[str, Any]) -> dict[str, Any]:
    public = "ENABLED" if wanted.get("assignPublicIp") else "DISABLED"
    return {"awsvpcConfiguration": {**wanted, "assignPublicIp": public}}


def _drain(account: Account, scope: Mapping[str, Any]) -> None:
    """Scale to nothing first, as the real provider does: ECS refuses to delete a service that has tasks."""
    subject = {"cluster": scope["cluster"], "service": scope["name"]}
    found = account.call("ecs", "describe_services", {"cluster": scope["cluster"], "services": [scope["name"]]})
    if not any(each["status"] == "ACTIVE" for each in found["services"]):
        raise Gone(scope["name"])
    account.call("ecs", "update_service", {**subject, "desiredCount": 0})


def _without_revision(_: Account, __: Mapping[str, Any], found: dict[str, Any]) -> None:
    found["arnWithoutRevision"] = found["arn"].rpartition(":")[0]


def _leave(account: Account, scope: Mapping[str, Any]) -> None:
    """Deregister, unless it is said that a revision stays when another takes its place."""
    if not scope.get("skipDestroy"):
        account.call("ecs", "deregister_task_definition", {"taskDefinition": scope["id"]})


RESOURCES: Final = (
    Translation(
        token="aws:ecs/cluster:Cluster",
        service="ecs",
        id="answer:cluster.clusterArn",
        create=Operation(call="create_cluster", takes="name settings"),
        read=Operation(
            call="describe_clusters",
            keys={"clusters": ["{id}"], "include": ["SETTINGS", "CONFIGURATIONS"]},
            answer="clusters[?status!='INACTIVE'] | [0]",
        ),
        updates=(Operation(call="update_cluster", takes="settings", keys={"cluster": "{id}"}),),
        delete=Operation(call="delete_cluster", keys={"cluster": "{id}"}),
        names={"name": "clusterName", "arn": "clusterArn"},
        unordered=frozenset({"settings"}),
        named="name",
    ),
    Translation(
        token="aws:ecs/taskDefinition:TaskDefinition",
        service="ecs",
        id="answer:taskDefinition.taskDefinitionArn",
        create=Operation(
            call="register_task_definition",
            takes="family networkMode requiresCompatibilities cpu memory runtimePlatform executionRoleArn taskRoleArn "
            "containerDefinitions volumes ephemeralStorage",
        ),
        read=Operation(
            call="describe_task_definition",
            keys={"taskDefinition": "{id}"},
            # One that was deregistered is as good as gone to whoever would serve it.
            answer="[taskDefinition][?status=='ACTIVE'] | [0]",
            gives={"containerDefinitions": "to_string(containerDefinitions)"},
        ),
        after_read=_without_revision,
        # Immutable: there is no operation that changes one.
        before_delete=_leave,
        delete=None,
        names={"arn": "taskDefinitionArn"},
        outward={"containerDefinitions": json.loads},
        unordered=frozenset({"requiresCompatibilities", "volumes"}),
        documents=frozenset({"containerDefinitions"}),
        kept=frozenset({"skipDestroy"}),
    ),
    Translation(
        token="aws:ecs/service:Service",
        service="ecs",
        id="answer:service.serviceArn",
        parts="{prefix}:service/{cluster}/{name}",
        create=Operation(
            call="create_service", takes=f"name cluster launchType {_CHANGED}".replace(" forceNewDeployment", "")
        ),
        read=Operation(
            call="describe_services",
            keys=_SERVICE,
            answer="services[?status!='INACTIVE'] | [0]",
            gives={
                "networkConfiguration": _NETWORK,
                "deploymentMinimumHealthyPercent": "deploymentConfiguration.minimumHealthyPercent",
                "deploymentMaximumPercent": "deploymentConfiguration.maximumPercent",
                "deploymentCircuitBreaker": "deploymentConfiguration.deploymentCircuitBreaker",
                "alarms": "deploymentConfiguration.alarms",
                "cluster": "clusterArn",
            },
        ),
        updates=(Operation(call="update_service", takes=_CHANGED, keys={"cluster": "{cluster}", "service": "{name}"}),),
        before_delete=_drain,
        delete=Operation(call="delete_service", keys={"cluster": "{cluster}", "service": "{name}"}),
        ended=Wait(waiter="services_inactive", keys=_SERVICE),
        names={
            "arn": "serviceArn",
            "name": "serviceName",
            "deploymentMinimumHealthyPercent": "deploymentConfiguration.minimumHealthyPercent",
            "deploymentMaximumPercent": "deploymentConfiguration.maximumPercent",
            "deploymentCircuitBreaker": "deploymentConfiguration.deploymentCircuitBreaker",
            "alarms": "deploymentConfiguration.alarms",
            "enableEcsManagedTags": "enableECSManagedTags",
        },
        outward={"networkConfiguration": _network},
        unordered=frozenset({"loadBalancers", "networkConfiguration", "alarms"}),
        kept=frozenset({"waitForSteadyState"}),
        named="name",
    ),
)
