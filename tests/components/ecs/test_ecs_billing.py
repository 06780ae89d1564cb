"""Nothing that a stack bills is missing in a preview's quantities: each registered type has a row, or costs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from mlflow_backend import tokens
from mlflow_backend.ecs.rendered import BILLING
from mlflow_backend.report.events import State, Step
from mlflow_backend.report.quantities import billed, by_use
from tests.components.ecs.conftest import DEPRECATED
from tests.components.ecs.recording import record
from tests.components.ecs.stacks import VARIANTS

if TYPE_CHECKING:
    from tests.components.registrations import Registered

pytestmark = pytest.mark.filterwarnings(DEPRECATED)

_IAM: Final = "IAM is free"
_NETWORK: Final = "a VPC, its subnets, routes, rules and internet gateway are free; what goes through them is by use"
_BUCKET: Final = "settings of a bucket are free; its objects are by use"
_GROUP: Final = "a group of settings or subnets is free; its engine is counted"
_OURS: Final = "it makes nothing on AWS by itself"
FREE: Final = {
    "aws:appautoscaling/target:Target": "autoscaling is free; its policies' alarms are counted",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup": _NETWORK,
    "aws:ec2/internetGateway:InternetGateway": _NETWORK,
    "aws:ec2/route:Route": _NETWORK,
    "aws:ec2/routeTable:RouteTable": _NETWORK,
    "aws:ec2/routeTableAssociation:RouteTableAssociation": _NETWORK,
    "aws:ec2/securityGroup:SecurityGroup": _NETWORK,
    "aws:ec2/subnet:Subnet": _NETWORK,
    "aws:ec2/vpc:Vpc": _NETWORK,
    "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": _NETWORK,
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": _NETWORK,
    "aws:ecs/taskDefinition:TaskDefinition": "it is counted with the service's tasks",
    "aws:elasticache/parameterGroup:ParameterGroup": _GROUP,
    "aws:elasticache/subnetGroup:SubnetGroup": _GROUP,
    "aws:rds/parameterGroup:ParameterGroup": _GROUP,
    "aws:rds/subnetGroup:SubnetGroup": _GROUP,
    "aws:iam/role:Role": _IAM,
    "aws:iam/rolePolicy:RolePolicy": _IAM,
    "aws:kms/alias:Alias": "it is a name of a key, which is counted",
    "aws:lb/listener:Listener": "it belongs to its balancer, which is counted",
    "aws:lb/targetGroup:TargetGroup": "it belongs to its balancer, which is counted",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration": _BUCKET,
    "aws:s3/bucketLogging:BucketLogging": _BUCKET,
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls": _BUCKET,
    "aws:s3/bucketPolicy:BucketPolicy": _BUCKET,
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock": _BUCKET,
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration": _BUCKET,
    "aws:s3/bucketVersioning:BucketVersioning": _BUCKET,
    "aws:secretsmanager/secretVersion:SecretVersion": "it belongs to its secret, which is counted",
    "aws:sns/topicPolicy:TopicPolicy": "it belongs to its topic",
    "aws:sns/topicSubscription:TopicSubscription": "it belongs to its topic, whose notifications are by use",
    "pulumi:providers:aws": _OURS,
    tokens.AWS_CACHE_TOKEN: "a value that the state keeps; the secret that holds it is counted",
    tokens.ECS_BACKUP_TOOL: "its object is the bucket's",
    tokens.ECS_ROLLOUT: _OURS,
    tokens.HOLD: _OURS,
    tokens.LEDGER_ENTRY: "its objects are the bucket's",
    tokens.MIGRATION: "its one-shot tasks are by use",
    tokens.PREFLIGHT: _OURS,
    tokens.REENCRYPTION: "its one-shot tasks are by use",
    tokens.USERS: _OURS,
    tokens.VERIFICATION: "its one-shot tasks are by use",
}
"""Type -> why AWS bills nothing for it."""


def _steps(registered: list[Registered]) -> list[Step]:
    return [
        Step(op="create", urn=each.urn, type=each.type, old=None, new=State(inputs=each.inputs))
        for each in registered
        if not each.type.startswith("mlflow-backend:")
    ]


@pytest.fixture(scope="module")
def stacks() -> dict[str, list[Step]]:
    """What each variant registers, as a first preview's steps."""
    return {variant: _steps(record(variant)) for variant in VARIANTS}


def test_each_registered_type_is_counted_or_by_use_or_free(stacks: dict[str, list[Step]]) -> None:
    """A new resource without a row would be billed and in no preview."""
    types = {step.type for steps in stacks.values() for step in steps}
    assert types - {*BILLING, *FREE} == set()
    assert {*FREE} <= types, "a mistyped row would stand for nothing"
    assert not {*FREE} & {*BILLING}


# What the review of the target names, and the shipped stacks have (docs/targets/ecs.md, 'Costs').
DEV: Final = {
    "fargate-vcpu", "fargate-memory", "fargate-disk", "public-ipv4", "load-balancer", "rds-instance:db.t4g.micro",
    "rds-storage:gp3", "cache-node:valkey:cache.t4g.micro", "kms-key", "secret", "alarm", "metric", "dashboard",
}  # fmt: skip
STAGING: Final = (DEV - {"rds-instance:db.t4g.micro", "cache-node:valkey:cache.t4g.micro"}) | {
    "rds-instance:db.m7g.large", "cache-node:valkey:cache.t4g.small", "nat-gateway",
}  # fmt: skip


ENDPOINTS: Final = (STAGING - {"nat-gateway"}) | {"vpc-endpoint"}


@pytest.mark.parametrize(("variant", "keys"), [("dev", DEV), ("staging", STAGING), ("endpoints", ENDPOINTS)])
def test_the_shipped_stacks_have_each_quantity(stacks: dict[str, list[Step]], variant: str, keys: set[str]) -> None:
    """The keys of a report name them."""
    assert {each.key for each in billed(stacks[variant], BILLING)} == keys


def test_what_is_many_of_a_kind_is_counted_whole(stacks: dict[str, list[Step]]) -> None:
    """A public balancer has an address a zone, RDS a secret of its own, a scaling policy two alarms, a task a disk."""
    found = {each.key: each.after for each in billed(stacks["staging"], BILLING)}
    alarms = [step for step in stacks["staging"] if step.type == "aws:cloudwatch/metricAlarm:MetricAlarm"]
    assert found["public-ipv4"] == 3 + 3
    assert found["secret"] == 3
    assert found["alarm"] == len(alarms) + 2 * 2
    assert found["fargate-disk"] == 2 * 20


def test_what_is_billed_by_use_is_named(stacks: dict[str, list[Step]]) -> None:
    """Nobody knows how much beforehand, so it is named; without NAT gateways nothing goes through one."""
    dev, endpoints = by_use(stacks["dev"], BILLING), by_use(stacks["endpoints"], BILLING)
    for words in ("LCU", "Container Insights", "log lines", "snapshots", "between zones", "registry"):
        assert any(words in each for each in dev), words
    assert not any("NAT" in each or "interface endpoints" in each for each in dev)
    assert any("interface endpoints" in each for each in endpoints)
    assert any("NAT" in each for each in by_use(stacks["staging"], BILLING))
