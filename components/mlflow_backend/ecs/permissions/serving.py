"""Permissions on what serves and watches: roles, tasks, logs, alarms, scaling, images. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.permissions.grant import (
    ALL,
    CHANGES,
    LOOKS,
    SERVES,
    WORKS,
    Conditions,
    Grant,
    Purpose,
    actions,
    tagging,
)
from mlflow_backend.aws.render import alarms
from mlflow_backend.aws.render.database import database_plan
from mlflow_backend.ecs.render.policies import ROLES, repository_arn
from mlflow_backend.ecs.render.tasks import DATABASE, SERVER, TASKS, VERIFY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

_LINKED: Final = (
    "ecs.amazonaws.com",
    "ecs.application-autoscaling.amazonaws.com",
    "elasticache.amazonaws.com",
    "elasticloadbalancing.amazonaws.com",
    "rds.amazonaws.com",
)
"""Services that make a role of their own in an account that has none yet."""


def grants(settings: Settings, naming: Naming) -> Iterator[Grant]:
    """Return the permissions on everything that runs."""
    yield from _roles(settings, naming)
    yield from _tasks(naming)
    yield from _service(naming)
    yield from _scaling(naming)
    yield from _logs(naming)
    yield from _alarms(settings, naming)
    yield from _images(settings, naming)


def _roles(settings: Settings, naming: Naming) -> Iterator[Grant]:
    roles = tuple(naming.role_arn(part) for part in ROLES)
    boundary = settings.aws.permissions_boundary
    bounded: Conditions = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else {}
    yield Grant(
        sid="LookAtRoles",
        purposes=LOOKS,
        actions=actions(
            "iam",
            "GetRole GetRolePolicy ListAttachedRolePolicies ListInstanceProfilesForRole ListRolePolicies ListRoleTags "
            "SimulatePrincipalPolicy",
        ),
        resources=roles,
    )
    if boundary is not None:
        yield Grant(sid="LookAtBoundary", purposes=LOOKS, actions=("iam:GetPolicy",), resources=(boundary,))
    # Neither AttachRolePolicy nor DeleteRolePermissionsBoundary: the program attaches no managed policy, and whoever
    # may take a boundary away is not bound by it.
    yield Grant(
        sid="MakeRoles",
        purposes=CHANGES,
        actions=actions("iam", "CreateRole DeleteRolePolicy PutRolePermissionsBoundary PutRolePolicy"),
        resources=roles,
        conditions=bounded,
    )
    yield Grant(
        sid="ChangeRoles",
        purposes=CHANGES,
        actions=actions("iam", "DeleteRole TagRole UntagRole UpdateAssumeRolePolicy UpdateRole UpdateRoleDescription"),
        resources=roles,
    )
    yield Grant(
        sid="PassRoles",
        purposes=CHANGES,
        actions=("iam:PassRole",),
        resources=roles,
        conditions={"StringEquals": {"iam:PassedToService": f"ecs-tasks.{naming.domain}"}},
    )
    # RunTask passes the roles of the definition that it runs.
    for sid, purposes, part in (
        ("PassDatabaseTask", frozenset({Purpose.PLAN, Purpose.ROLLBACK}), "tasks"),
        ("PassVerifyTask", frozenset({Purpose.ROLLBACK}), "verify"),
    ):
        yield Grant(
            sid=sid,
            purposes=purposes,
            actions=("iam:PassRole",),
            resources=(naming.role_arn(part), naming.role_arn(f"{part}-execution")),
            conditions={"StringEquals": {"iam:PassedToService": f"ecs-tasks.{naming.domain}"}},
        )
    yield Grant(
        sid="MakeServiceLinkedRoles",
        purposes=CHANGES,
        actions=("iam:CreateServiceLinkedRole",),
        resources=(naming.global_arn("iam", "role/aws-service-role/*"),),
        conditions={"StringEquals": {"iam:AWSServiceName": list(_LINKED)}},
    )


def _tasks(naming: Naming) -> Iterator[Grant]:
    cluster = naming.arn("ecs", f"cluster/{naming.cluster()}")
    on_cluster: Conditions = {"ArnEquals": {"ecs:cluster": cluster}}
    yield Grant(
        sid="ReadDefinitions",
        purposes=ALL,
        # These two know no resource (service authorization reference, Amazon ECS).
        actions=("ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions"),
        resources=("*",),
    )
    yield Grant(
        sid="Register",
        purposes=CHANGES,
        actions=("ecs:RegisterTaskDefinition",),
        # Until lately the action knew no resource, and IAM then asks for '*'; the tags hold it to this stack.
        resources=("*",),
        conditions={"StringEquals": tagging(naming)},
    )
    yield Grant(sid="Deregister", purposes=CHANGES, actions=("ecs:DeregisterTaskDefinition",), resources=("*",))
    yield Grant(
        sid="RunDatabaseTask",
        purposes=WORKS,
        actions=("ecs:RunTask",),
        resources=(naming.arn("ecs", f"task-definition/{naming.family(DATABASE)}:*"),),
        conditions=on_cluster,
    )
    yield Grant(
        sid="RunVerifyTask",
        purposes=SERVES,
        actions=("ecs:RunTask",),
        resources=(naming.arn("ecs", f"task-definition/{naming.family(VERIFY)}:*"),),
        conditions=on_cluster,
    )
    yield Grant(
        sid="FollowTasks",
        purposes=WORKS,
        actions=("ecs:DescribeTasks", "ecs:StopTask"),
        resources=(naming.arn("ecs", f"task/{naming.cluster()}/*"),),
    )
    yield Grant(
        sid="ListTasks",
        purposes=WORKS,
        actions=("ecs:ListTasks",),
        resources=("*",),
        conditions=on_cluster,
    )


def _service(naming: Naming) -> Iterator[Grant]:
    cluster, named = f"cluster/{naming.cluster()}", f"{naming.cluster()}/{naming.service()}"
    families = tuple(
        naming.arn("ecs", f"task-definition/{naming.family(each)}:*") for each in (SERVER, DATABASE, VERIFY)
    )
    service = naming.arn("ecs", f"service/{named}")
    deployments = naming.arn("ecs", f"service-deployment/{named}/*")
    yield Grant(
        sid="FindService",
        purposes=ALL,
        actions=("ecs:DescribeServices", "ecs:ListServiceDeployments"),
        resources=(service,),
    )
    yield Grant(
        sid="LookAtService",
        purposes=LOOKS,
        actions=("ecs:DescribeClusters", "ecs:ListTagsForResource"),
        resources=(naming.arn("ecs", cluster), service, *families),
    )
    yield Grant(
        sid="ServeRevision",
        purposes=SERVES,
        actions=("ecs:UpdateService", "ecs:StopServiceDeployment", "ecs:DescribeServiceDeployments"),
        resources=(service, deployments),
    )
    yield Grant(
        sid="ChangeService",
        purposes=CHANGES,
        actions=actions(
            "ecs", "CreateCluster CreateService DeleteCluster DeleteService TagResource UntagResource UpdateCluster"
        ),
        resources=(naming.arn("ecs", cluster), service, *families),
    )


def _scaling(naming: Naming) -> Iterator[Grant]:
    service = "application-autoscaling"
    ecs: Conditions = {"StringEquals": {f"{service}:service-namespace": "ecs"}}
    yield Grant(
        sid="LookAtScaling",
        purposes=ALL,
        actions=(f"{service}:DescribeScalableTargets", f"{service}:DescribeScalingPolicies"),
        resources=("*",),
    )
    yield Grant(
        sid="HoldScaling",
        purposes=SERVES,
        actions=(f"{service}:RegisterScalableTarget",),
        resources=(naming.arn(service, "scalable-target/*"),),
        conditions=ecs,
    )
    yield Grant(
        sid="ChangeScaling",
        purposes=CHANGES,
        actions=actions(service, "DeleteScalingPolicy DeregisterScalableTarget PutScalingPolicy"),
        resources=(naming.arn(service, "scalable-target/*"),),
        conditions=ecs,
    )
    yield Grant(
        sid="TagScaling",
        purposes=LOOKS,
        actions=(f"{service}:ListTagsForResource",),
        resources=(naming.arn(service, "scalable-target/*"),),
    )
    yield Grant(
        sid="ChangeScalingTags",
        purposes=CHANGES,
        actions=(f"{service}:TagResource", f"{service}:UntagResource"),
        resources=(naming.arn(service, "scalable-target/*"),),
    )
    yield Grant(
        sid="AlarmsOfScaling",
        purposes=CHANGES,
        # A policy that holds a target makes alarms with the caller's permissions (Application Auto Scaling user guide).
        actions=("cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"),
        resources=(naming.arn("cloudwatch", f"alarm:TargetTracking-service/{naming.cluster()}/{naming.service()}-*"),),
    )


def _logs(naming: Naming) -> Iterator[Grant]:
    groups = [naming.log_group_arn(part) for part in (SERVER, TASKS)]
    every = tuple(
        f"{arn}{end}"
        for arn in (*groups, naming.arn("logs", f"log-group:{naming.insights_group()}"))
        for end in ("", ":*")
    )
    yield Grant(
        sid="FindLogs",
        purposes=LOOKS,
        actions=("logs:DescribeLogGroups",),
        resources=("*",),
    )
    yield Grant(
        sid="LookAtLogs",
        purposes=LOOKS,
        actions=actions("logs", "DescribeMetricFilters ListTagsForResource"),
        resources=every,
    )
    yield Grant(
        sid="ReadLogs",
        purposes=WORKS,
        # Why a task ended, and what a one-shot task answered.
        actions=("logs:GetLogEvents",),
        resources=tuple(f"{arn}:*" for arn in groups),
    )
    yield Grant(
        sid="CountRedVerdicts",
        purposes=SERVES,
        actions=("logs:CreateLogStream", "logs:PutLogEvents"),
        resources=(f"{naming.log_group_arn(TASKS)}:*",),
    )
    yield Grant(
        sid="ChangeLogs",
        purposes=CHANGES,
        actions=actions(
            "logs",
            "AssociateKmsKey CreateLogGroup DeleteLogGroup DeleteMetricFilter PutMetricFilter PutRetentionPolicy "
            "TagResource UntagResource",
        ),
        resources=every,
    )


def _alarms(settings: Settings, naming: Naming) -> Iterator[Grant]:
    every = alarms.alarms(cluster=naming.cluster(), database=database_plan(settings), cache=True)
    dashboard = (naming.global_arn("cloudwatch", f"dashboard/{naming.dashboard()}"),)
    yield Grant(
        sid="LookAtAlarms",
        purposes=LOOKS,
        actions=("cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"),
        resources=(naming.arn("cloudwatch", "alarm:*"),),
    )
    yield Grant(sid="LookAtDashboard", purposes=LOOKS, actions=("cloudwatch:GetDashboard",), resources=dashboard)
    yield Grant(
        sid="ChangeAlarms",
        purposes=CHANGES,
        actions=actions("cloudwatch", "DeleteAlarms PutMetricAlarm TagResource UntagResource"),
        resources=tuple(naming.arn("cloudwatch", f"alarm:{naming.alarm(each.name)}") for each in every),
    )
    yield Grant(
        sid="ChangeDashboard",
        purposes=CHANGES,
        actions=("cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard"),
        resources=dashboard,
    )
    if settings.aws.monitoring.topic is not None:
        return
    topic = naming.arn("sns", naming.topic())
    yield Grant(
        sid="LookAtTopic",
        purposes=LOOKS,
        actions=actions(
            "sns", "GetSubscriptionAttributes GetTopicAttributes ListSubscriptionsByTopic ListTagsForResource"
        ),
        resources=(topic, f"{topic}:*"),
    )
    yield Grant(
        sid="ChangeTopic",
        purposes=CHANGES,
        actions=actions(
            "sns",
            "CreateTopic DeleteTopic SetSubscriptionAttributes SetTopicAttributes Subscribe TagResource Unsubscribe "
            "UntagResource",
        ),
        resources=(topic, f"{topic}:*"),
    )


def _images(settings: Settings, naming: Naming) -> Iterator[Grant]:
    repository = repository_arn(settings, naming)
    if repository is None:
        return
    yield Grant(
        sid="LookAtImage",
        purposes=LOOKS,
        actions=("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"),
        resources=(repository,),
    )
    yield Grant(
        sid="LogInToRepository",
        purposes=frozenset({Purpose.IMAGE}),
        # The action knows no resource (service authorization reference, Amazon ECR).
        actions=("ecr:GetAuthorizationToken",),
        resources=("*",),
    )
    yield Grant(
        sid="PushImage",
        purposes=frozenset({Purpose.IMAGE}),
        actions=actions(
            "ecr",
            "BatchCheckLayerAvailability BatchGetImage CompleteLayerUpload GetDownloadUrlForLayer InitiateLayerUpload "
            "PutImage UploadLayerPart",
        ),
        resources=(repository,),
    )
