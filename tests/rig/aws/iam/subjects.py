"""Which ARNs a request is about, service by service (service authorization reference), and what else it needs.

A description whose subject IAM does not look at is about '*'. What a request makes is about an ARN that ends in `new`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from moto.ec2.models import ec2_backends
from moto.ecs.models import ecs_backends
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends

from tests.rig.aws.iam.requests import listed, tags_of
from tests.rig.aws.server import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


@dataclass(frozen=True, kw_only=True)
class AccessRequest:
    """One thing that the caller must be allowed. `context` holds condition keys beyond those of every request."""

    action: str
    resource: str
    context: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request: the operation's name without its service, its region, its path and its values."""

    action: str
    region: str
    path: str
    values: Mapping[str, Any]

    @property
    def operation(self) -> str:
        """The action without its service."""
        return self.action.partition(":")[2]

    def arn(self, service: str, resource: str) -> str:
        """Return the ARN of something in the call's region."""
        return arn(service, self.region, resource)

    def text(self, name: str) -> str:
        """Return one value, '' if it is not given."""
        return next(iter(listed(self.values, name)), "")

    @property
    def given_tags(self) -> dict[str, str]:
        """The condition keys of the tags that it gives."""
        return {f"aws:RequestTag/{key}": value for key, value in tags_of(self.values).items()}


def arn(service: str, region: str, resource: str) -> str:
    """Return an ARN of the rig's account."""
    return f"arn:aws:{service}:{region}:{ACCOUNT}:{resource}"


def key_context(key: str, region: str) -> dict[str, str]:
    """Return the condition keys of a KMS key's tags."""
    backend = kms_backends[ACCOUNT][region]
    found = backend.tagger.get_tag_dict_for_resource(key.rpartition("/")[2])
    return {f"aws:ResourceTag/{name}": value for name, value in found.items()}


def through(service: str, action: str, key: str, region: str) -> AccessRequest:
    """Return a use of a key that a service makes for its caller."""
    named = key if key.startswith("arn:") else arn("kms", region, f"key/{key}")
    context = {"kms:ViaService": f"{service}.{region}.amazonaws.com", **key_context(named, region)}
    return AccessRequest(action=action, resource=named, context=context)


def passed(call: Call, roles: Sequence[str]) -> list[AccessRequest]:
    """Return the roles that a request hands to ECS's tasks."""
    context = {"iam:PassedToService": "ecs-tasks.amazonaws.com"}
    return [AccessRequest(action="iam:PassRole", resource=role, context=context) for role in roles if role]


_EC2: Final = {
    "vpc": "vpc", "subnet": "subnet", "sg": "security-group", "sgr": "security-group-rule", "rtb": "route-table",
    "igw": "internet-gateway", "eipalloc": "elastic-ip", "nat": "natgateway", "vpce": "vpc-endpoint",
    "lt": "launch-template",
}  # fmt: skip
_EC2_ID: Final = re.compile(rf"({'|'.join(_EC2)})-[0-9a-f]+")
_EC2_NEW: Final = {
    "CreateVpc": "vpc", "CreateSubnet": "subnet", "CreateSecurityGroup": "security-group",
    "CreateRouteTable": "route-table", "CreateInternetGateway": "internet-gateway", "AllocateAddress": "elastic-ip",
    "CreateNatGateway": "natgateway", "CreateVpcEndpoint": "vpc-endpoint", "CreateLaunchTemplate": "launch-template",
    "AuthorizeSecurityGroupIngress": "security-group-rule", "AuthorizeSecurityGroupEgress": "security-group-rule",
}  # fmt: skip
# Of these IAM looks at one resource, whatever else they name.
_EC2_ONLY: Final = {
    **dict.fromkeys(("CreateRoute", "DeleteRoute", "ReplaceRoute"), "RouteTableId"),
    **dict.fromkeys(
        ("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress", "RevokeSecurityGroupIngress",
         "RevokeSecurityGroupEgress"), "GroupId",
    ),
}  # fmt: skip


def _ec2(call: Call) -> Iterator[AccessRequest]:
    if call.operation.startswith("Describe"):
        yield AccessRequest(action=call.action, resource="*", context={})
        return
    backend = ec2_backends[ACCOUNT][call.region]
    only = _EC2_ONLY.get(call.operation)
    # A rule may name another group, which IAM does not look at.
    every = [value for key, value in call.values.items() if not key.endswith("ReferencedGroupId")]
    named: list[Any] = every if only is None else [call.values.get(only)]
    ids = {str(value) for value in named if _EC2_ID.fullmatch(str(value))}
    for value in call.values.values():
        if str(value).startswith("rtbassoc-"):
            ids |= {table.id for table in backend.route_tables.values() if str(value) in str(table.associations)}
    for each in sorted(ids):
        kind = _EC2[each.rpartition("-")[0]]
        tags = {f"aws:ResourceTag/{key}": str(value) for key, value in backend.tags.get(each, {}).items()}
        yield AccessRequest(
            action=call.action, resource=call.arn("ec2", f"{kind}/{each}"), context={**tags, **call.given_tags}
        )
    made = _EC2_NEW.get(call.operation)
    if made:
        new = call.arn("ec2", f"{made}/new")
        yield AccessRequest(action=call.action, resource=new, context=call.given_tags)
        if call.given_tags:
            context = {**call.given_tags, "ec2:CreateAction": call.operation}
            yield AccessRequest(action="ec2:CreateTags", resource=new, context=context)
    elif not ids:
        yield AccessRequest(action=call.action, resource=call.arn("ec2", "unnamed/unnamed"), context={})


def _balancer(call: Call) -> Iterator[AccessRequest]:
    service = "elasticloadbalancing"
    if call.operation.startswith("Describe"):
        yield AccessRequest(action=call.action, resource="*", context={})
        return
    new = {
        "CreateLoadBalancer": f"loadbalancer/app/{call.text('Name')}/new",
        "CreateTargetGroup": f"targetgroup/{call.text('Name')}/new",
    }.get(call.operation)
    if call.operation == "CreateListener":
        names = [call.text("LoadBalancerArn")]
    elif new:
        names = [call.arn(service, new)]
    elif call.operation.endswith("Tags"):
        names = listed(call.values, "ResourceArns")
    else:
        names = [call.text(each) for each in ("ListenerArn", "TargetGroupArn", "LoadBalancerArn") if call.text(each)][
            :1
        ]
    yield from _each(call, names)
    if call.given_tags and call.operation.startswith("Create"):
        yield AccessRequest(action=f"{service}:AddTags", resource=names[0], context=call.given_tags)


def _each(call: Call, names: Sequence[str], context: Mapping[str, str] | None = None) -> Iterator[AccessRequest]:
    for name in names:
        yield AccessRequest(action=call.action, resource=name, context={**call.given_tags, **(context or {})})


def _database(call: Call, *, service: str, kinds: Mapping[str, str]) -> Iterator[AccessRequest]:
    names = [call.arn(service, f"{kind}:{call.text(name)}") for name, kind in kinds.items() if call.text(name)]
    names += listed(call.values, "ResourceName")
    # A description that names nothing is about all there are.
    yield from _each(call, names or ["*"])
    if not call.operation.startswith("Create"):
        return
    if call.given_tags:
        yield AccessRequest(action=f"{service}:AddTagsToResource", resource=names[0], context=call.given_tags)
    key = call.text("KmsKeyId")
    if key:
        yield from (through(service, action, key, call.region) for action in ("kms:CreateGrant", "kms:DescribeKey"))
    if call.text("ManageMasterUserPassword") == "true":
        secret = call.arn("secretsmanager", "secret:rds!db-new-AbCdEf")
        for action in ("secretsmanager:CreateSecret", "secretsmanager:TagResource"):
            yield AccessRequest(action=action, resource=secret, context={})
        if call.text("MasterUserSecretKmsKeyId"):
            for action in ("kms:Decrypt", "kms:GenerateDataKey"):
                yield through(service, action, call.text("MasterUserSecretKmsKeyId"), call.region)


def _role(call: Call) -> Iterator[AccessRequest]:
    named = call.text("RoleName")
    if not named:
        yield AccessRequest(
            action=call.action, resource=call.text("PolicySourceArn") or call.text("PolicyArn") or "*", context={}
        )
        return
    held = next((each for each in iam_backends[ACCOUNT]["aws"].roles.values() if each.name == named), None)
    boundary = call.text("PermissionsBoundary") or (held.permissions_boundary_arn if held else "") or ""
    context = {"iam:PermissionsBoundary": boundary} if boundary else {}
    if call.operation in {"AttachRolePolicy", "DetachRolePolicy"}:
        context["iam:PolicyARN"] = call.text("PolicyArn")
    resource = f"arn:aws:iam::{ACCOUNT}:role/{named}"
    yield AccessRequest(action=call.action, resource=resource, context={**context, **call.given_tags})
    if call.operation == "CreateRole" and call.given_tags:
        yield AccessRequest(action="iam:TagRole", resource=resource, context=call.given_tags)


def _key(call: Call) -> Iterator[AccessRequest]:
    if call.operation == "CreateKey":
        yield AccessRequest(action=call.action, resource="*", context=call.given_tags)
        if call.given_tags:
            yield AccessRequest(action="kms:TagResource", resource=call.arn("kms", "key/new"), context=call.given_tags)
        return
    key = call.text("TargetKeyId") or call.text("KeyId")
    alias = call.text("AliasName")
    if alias:
        yield AccessRequest(action=call.action, resource=call.arn("kms", alias), context={})
        held = kms_backends[ACCOUNT][call.region].keys.values()
        key = key or next((each.id for each in held if alias in each.aliases), "")
    if key:
        named = key if key.startswith("arn:") else call.arn("kms", f"key/{key}")
        yield AccessRequest(
            action=call.action, resource=named, context={**key_context(named, call.region), **call.given_tags}
        )
    elif not alias:
        yield AccessRequest(action=call.action, resource="*", context={})


def _logs(call: Call) -> Iterator[AccessRequest]:
    group, stream = call.text("logGroupName"), call.text("logStreamName")
    named = call.text("resourceArn")
    if call.operation == "DescribeLogGroups":
        named = "*"
    elif not named and group:
        named = call.arn("logs", f"log-group:{group}" + (f":log-stream:{stream}" if stream else ""))
    yield AccessRequest(action=call.action, resource=named or "*", context=call.given_tags)
    if call.operation == "CreateLogGroup" and call.given_tags:
        yield AccessRequest(action="logs:TagResource", resource=named, context=call.given_tags)


def _ecs(call: Call) -> Iterator[AccessRequest]:
    cluster = (call.text("cluster") or call.text("clusterName") or call.text("clusters") or "default").rpartition("/")[
        2
    ]
    on = {"ecs:cluster": call.arn("ecs", f"cluster/{cluster}")}
    if call.operation in {"DescribeTaskDefinition", "DeregisterTaskDefinition", "ListTaskDefinitions", "ListTasks"}:
        yield AccessRequest(action=call.action, resource="*", context=on)
    elif call.operation == "RegisterTaskDefinition":
        yield AccessRequest(action=call.action, resource="*", context=call.given_tags)
        yield from passed(call, [call.text("taskRoleArn"), call.text("executionRoleArn")])
    elif call.operation == "RunTask":
        definition = ecs_backends[ACCOUNT][call.region].describe_task_definition(call.text("taskDefinition"))
        yield AccessRequest(action=call.action, resource=definition.arn, context=on)
        yield from passed(call, [definition.task_role_arn, definition.execution_role_arn])
    else:
        yield from _each(call, _ecs_names(call, cluster), on)
    if call.operation.startswith(("Create", "Register")) and call.given_tags:
        family = call.text("family")
        names = [call.arn("ecs", f"task-definition/{family}:new")] if family else _ecs_names(call, cluster)
        yield AccessRequest(action="ecs:TagResource", resource=names[0], context=call.given_tags)


def _ecs_names(call: Call, cluster: str) -> list[str]:
    values = call.values
    arns = [
        *listed(values, "resourceArn"),
        *listed(values, "serviceDeploymentArn"),
        *listed(values, "serviceDeploymentArns"),
    ]
    if arns:
        return arns
    tasks = [*listed(values, "tasks"), *listed(values, "task")]
    if tasks:
        return [each if each.startswith("arn:") else call.arn("ecs", f"task/{cluster}/{each}") for each in tasks]
    services = [each for name in ("services", "service", "serviceName") for each in listed(values, name)]
    if services:
        named = [each.rpartition("/")[2] for each in services]
        return [call.arn("ecs", f"service/{cluster}/{each}") for each in named]
    return [call.arn("ecs", f"cluster/{cluster}")]


def _topic(call: Call) -> Iterator[AccessRequest]:
    named = call.text("TopicArn") or call.text("ResourceArn") or call.text("SubscriptionArn")
    named = named or call.arn("sns", call.text("Name"))
    yield AccessRequest(action=call.action, resource=named, context=call.given_tags)
    if call.operation == "CreateTopic" and call.given_tags:
        yield AccessRequest(action="sns:TagResource", resource=named, context=call.given_tags)


def _watch(call: Call) -> Iterator[AccessRequest]:
    dashboards = [*listed(call.values, "DashboardName"), *listed(call.values, "DashboardNames")]
    names = [f"arn:aws:cloudwatch::{ACCOUNT}:dashboard/{each}" for each in dashboards]
    alarms = [*listed(call.values, "AlarmName"), *listed(call.values, "AlarmNames")]
    names += [call.arn("cloudwatch", f"alarm:{each}") for each in alarms]
    names += listed(call.values, "ResourceARN")
    yield from _each(call, names or [call.arn("cloudwatch", "alarm:*")])
    if call.operation == "PutMetricAlarm" and call.given_tags:
        yield AccessRequest(action="cloudwatch:TagResource", resource=names[0], context=call.given_tags)


def _scaling(call: Call) -> Iterator[AccessRequest]:
    service = "application-autoscaling"
    if call.operation.startswith("Describe"):
        yield AccessRequest(action=call.action, resource="*", context={})
        return
    named = call.text("ResourceARN") or call.arn(service, "scalable-target/any")
    context = {f"{service}:service-namespace": call.text("ServiceNamespace")} if call.text("ServiceNamespace") else {}
    yield AccessRequest(action=call.action, resource=named, context={**context, **call.given_tags})
    if call.operation == "RegisterScalableTarget" and call.given_tags:
        yield AccessRequest(action=f"{service}:TagResource", resource=named, context=call.given_tags)


def _schedule(call: Call) -> Iterator[AccessRequest]:
    named = re.search(r"/schedules/([^/?]+)", call.path)
    yield AccessRequest(
        action=call.action, resource=call.arn("scheduler", f"schedule/default/{named[1] if named else '*'}"), context={}
    )
    if call.operation in {"CreateSchedule", "UpdateSchedule"}:
        context = {"iam:PassedToService": "scheduler.amazonaws.com"}
        yield AccessRequest(action="iam:PassRole", resource=call.values["Target"]["RoleArn"], context=context)


def _zone(call: Call) -> Iterator[AccessRequest]:
    found = re.search(r"/(hostedzone|change)/([A-Z0-9]+)", call.path)
    yield AccessRequest(
        action=call.action, resource=f"arn:aws:route53:::{found[1]}/{found[2]}" if found else "*", context={}
    )


def _certificate(call: Call) -> Iterator[AccessRequest]:
    yield AccessRequest(action=call.action, resource=call.text("CertificateArn") or "*", context={})


def _repository(call: Call) -> Iterator[AccessRequest]:
    named = call.text("repositoryName")
    yield AccessRequest(
        action=call.action, resource=call.arn("ecr", f"repository/{named}") if named else "*", context={}
    )


SERVICES: Final[Mapping[str, Callable[[Call], Iterator[AccessRequest]]]] = {
    "acm": _certificate,
    "application-autoscaling": _scaling,
    "cloudwatch": _watch,
    "ec2": _ec2,
    "ecr": _repository,
    "ecs": _ecs,
    "elasticache": partial(
        _database,
        service="elasticache",
        kinds={
            "ReplicationGroupId": "replicationgroup",
            "CacheSubnetGroupName": "subnetgroup",
            "CacheParameterGroupName": "parametergroup",
        },
    ),
    "elasticloadbalancing": _balancer,
    "iam": _role,
    "kms": _key,
    "logs": _logs,
    "rds": partial(
        _database,
        service="rds",
        kinds={"DBInstanceIdentifier": "db", "DBSubnetGroupName": "subgrp", "DBParameterGroupName": "pg"},
    ),
    "route53": _zone,
    "scheduler": _schedule,
    "sns": _topic,
}
