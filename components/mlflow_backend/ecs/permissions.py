"""The permissions of those who preview, deploy, roll back or push images on a backend on ECS. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.permissions import deployer
from mlflow_backend.aws.permissions.grant import (
    ALL,
    CHANGES,
    LOOKS,
    SERVES,
    WORKS,
    Conditions,
    Grant,
    Purpose,
    grant,
    tagging,
)
from mlflow_backend.aws.render.scheduler import SCHEDULER
from mlflow_backend.ecs.render.policies import BACKUP_ROLES, ROLES
from mlflow_backend.ecs.render.scheduled import VERIFY
from mlflow_backend.ecs.render.tasks import DATABASE, ONE_SHOTS, SERVER
from mlflow_backend.schedules import BACKUP, MAINTENANCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

LINKED_ROLES: Final = ("ecs", "ecs.application-autoscaling")
"""Services of ECS's own that work by a service-linked role."""


def grants(
    settings: Settings, naming: Naming, purpose: Purpose, *, state: deployer.PulumiState | None = None
) -> tuple[Grant, ...]:
    """Return what a role of a purpose may do with a stack's backend; `state` is where Pulumi keeps the stack."""
    # Also without backups: what a setting that is gone had made is deleted by the next update.
    found = (*_passing(naming), *_tasks(naming), *_service(naming), *_scaling(naming), *_schedules(naming))
    own = deployer.Own(roles=(*ROLES, *BACKUP_ROLES), services=LINKED_ROLES, grants=found)
    return deployer.grants(settings, naming, purpose, own, state=state)


def _passing(naming: Naming) -> Iterator[Grant]:
    to_tasks: Conditions = {"StringEquals": {"iam:PassedToService": f"ecs-tasks.{naming.domain}"}}
    yield grant(
        "PassRoles",
        CHANGES,
        "iam:PassRole",
        *(naming.role_arn(part) for part in (*ROLES, *BACKUP_ROLES) if part != SCHEDULER),
        **to_tasks,
    )
    # RunTask passes the roles of the definition that it runs.
    for sid, purposes, part in (
        ("PassDatabaseTask", frozenset({Purpose.PLAN, Purpose.ROLLBACK}), "tasks"),
        ("PassVerifyTask", frozenset({Purpose.ROLLBACK}), "verify"),
    ):
        both = (naming.role_arn(part), naming.role_arn(f"{part}-execution"))
        yield grant(sid, purposes, "iam:PassRole", *both, **to_tasks)


def _tasks(naming: Naming) -> Iterator[Grant]:
    cluster = naming.arn("ecs", f"cluster/{naming.cluster()}")
    on_cluster: Conditions = {"ArnEquals": {"ecs:cluster": cluster}}
    # These two know no resource (service authorization reference, Amazon ECS).
    yield grant("ReadDefinitions", ALL, "ecs:DescribeTaskDefinition ListTaskDefinitions", "*")
    # Until lately the action knew no resource, and IAM then asks for '*'; the tags hold it to this stack.
    yield grant("Register", CHANGES, "ecs:RegisterTaskDefinition", "*", StringEquals=tagging(naming))
    yield grant("Deregister", CHANGES, "ecs:DeregisterTaskDefinition", "*")
    for sid, purposes, part in (("RunDatabaseTask", WORKS, DATABASE), ("RunVerifyTask", SERVES, VERIFY)):
        yield grant(sid, purposes, "ecs:RunTask", _definitions(naming, part), **on_cluster)
    yield grant("FollowTasks", WORKS, "ecs:DescribeTasks StopTask", naming.arn("ecs", f"task/{naming.cluster()}/*"))
    yield grant("ListTasks", WORKS, "ecs:ListTasks", "*", **on_cluster)


def _definitions(naming: Naming, part: str) -> str:
    return naming.arn("ecs", f"task-definition/{naming.family(part)}:*")


def _schedules(naming: Naming) -> Iterator[Grant]:
    """Return the permissions on the schedules; the tools are among the backend's own objects."""
    parts = (BACKUP, VERIFY, MAINTENANCE)
    schedules = tuple(naming.arn("scheduler", f"schedule/default/{naming.schedule(part)}") for part in parts)
    to_scheduler: Conditions = {"StringEquals": {"iam:PassedToService": "scheduler.amazonaws.com"}}
    yield grant("LookAtSchedule", LOOKS, "scheduler:GetSchedule", *schedules)
    yield grant("ChangeSchedule", CHANGES, "scheduler:CreateSchedule DeleteSchedule UpdateSchedule", *schedules)
    yield grant("PassRoleToScheduler", CHANGES, "iam:PassRole", naming.role_arn(SCHEDULER), **to_scheduler)


def _service(naming: Naming) -> Iterator[Grant]:
    cluster, named = f"cluster/{naming.cluster()}", f"{naming.cluster()}/{naming.service()}"
    service = naming.arn("ecs", f"service/{named}")
    deployments = naming.arn("ecs", f"service-deployment/{named}/*")
    made = (naming.arn("ecs", cluster), service, *(_definitions(naming, part) for part in (SERVER, *ONE_SHOTS)))
    yield grant("FindService", ALL, "ecs:DescribeServices ListServiceDeployments", service)
    yield grant("LookAtService", LOOKS, "ecs:DescribeClusters ListTagsForResource", *made)
    yield grant(
        "ServeRevision",
        SERVES,
        "ecs:UpdateService StopServiceDeployment DescribeServiceDeployments",
        service,
        deployments,
    )
    yield grant(
        "ChangeService",
        CHANGES,
        "ecs:CreateCluster CreateService DeleteCluster DeleteService TagResource UntagResource UpdateCluster",
        *made,
    )


def _scaling(naming: Naming) -> Iterator[Grant]:
    ecs: Conditions = {"StringEquals": {"application-autoscaling:service-namespace": "ecs"}}
    target = naming.arn("application-autoscaling", "scalable-target/*")
    yield grant("LookAtScaling", ALL, "application-autoscaling:DescribeScalableTargets DescribeScalingPolicies", "*")
    yield grant("HoldScaling", SERVES, "application-autoscaling:RegisterScalableTarget", target, **ecs)
    yield grant(
        "ChangeScaling",
        CHANGES,
        "application-autoscaling:DeleteScalingPolicy DeregisterScalableTarget PutScalingPolicy",
        target,
        **ecs,
    )
    yield grant("TagScaling", LOOKS, "application-autoscaling:ListTagsForResource", target)
    yield grant("ChangeScalingTags", CHANGES, "application-autoscaling:TagResource UntagResource", target)
    # A policy that holds a target makes alarms with the caller's permissions (Application Auto Scaling user guide).
    yield grant(
        "AlarmsOfScaling",
        CHANGES,
        "cloudwatch:DeleteAlarms PutMetricAlarm",
        naming.arn("cloudwatch", f"alarm:TargetTracking-service/{naming.cluster()}/{naming.service()}-*"),
    )
