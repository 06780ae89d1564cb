"""What the AWS provider does by itself: which version makes it replace a resource, and how long it waits for one.

The rules were read in the source that the provider is made from (terraform-provider-aws 6.47, internal/service/...).
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Final

import pulumi_aws
import pytest

from mlflow_backend.aws.render.balancer import timeouts
from tests.components.ecs.conftest import DEPRECATED
from tests.components.ecs.recording import record
from tests.components.ecs.stacks import VARIANTS, changed

if TYPE_CHECKING:
    from tests.components.registrations import Registered

pytestmark = pytest.mark.filterwarnings(DEPRECATED)

_VERSION_LIKE: Final = re.compile(r"version|engine|family|platform|runtime|ssl_policy|ca_cert|lifecycle")
# What the provider does with a difference in an attribute that looks like a version ...
REPLACES: Final = "replaces (ForceNew)"
OLDER_REPLACES: Final = "replaces by an older one (CustomizeDiff)"
IN_PLACE: Final = "changes in place"
# ... and why there is none unless somebody changes this project or its settings.
UNSET: Final = "not set: the provider takes over what AWS has (Computed)"
OURS: Final = "set by this project, and AWS never moves it"
MAJOR: Final = "a major version alone: every minor one is the same to the provider"
STAYS: Final = "set, and AWS was asked not to move it (autoMinorVersionUpgrade)"

VERSIONS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "aws:ecs/service:Service": {"platform_version": (IN_PLACE, UNSET)},
    "aws:ecs/taskDefinition:TaskDefinition": {
        # A replaced definition is a new revision; the old one stays registered (skip_destroy).
        "family": (REPLACES, OURS),
        "runtime_platform": (REPLACES, OURS),
    },
    "aws:elasticache/parameterGroup:ParameterGroup": {"family": (REPLACES, OURS)},
    "aws:elasticache/replicationGroup:ReplicationGroup": {
        "auth_token_wo_version": (IN_PLACE, UNSET),
        "auto_minor_version_upgrade": (IN_PLACE, OURS),
        "engine": (OLDER_REPLACES, OURS),
        "engine_version": (OLDER_REPLACES, STAYS),
    },
    "aws:lb/listener:Listener": {
        "routing_http_request_x_amzn_tls_version_header_name": (IN_PLACE, UNSET),
        "ssl_policy": (IN_PLACE, OURS),
    },
    "aws:lb/loadBalancer:LoadBalancer": {"enable_tls_version_and_cipher_suite_headers": (IN_PLACE, UNSET)},
    "aws:lb/targetGroup:TargetGroup": {"protocol_version": (REPLACES, UNSET)},
    "aws:rds/instance:Instance": {
        "allow_major_version_upgrade": (IN_PLACE, UNSET),
        "auto_minor_version_upgrade": (IN_PLACE, OURS),
        "ca_cert_identifier": (IN_PLACE, UNSET),
        "engine": (REPLACES, OURS),
        "engine_lifecycle_support": (IN_PLACE, UNSET),
        "engine_version": (IN_PLACE, MAJOR),
        "password_wo_version": (IN_PLACE, UNSET),
    },
    "aws:rds/parameterGroup:ParameterGroup": {"family": (REPLACES, OURS)},
    "aws:s3/bucket:Bucket": {"lifecycle_rules": (IN_PLACE, UNSET), "versioning": (IN_PLACE, UNSET)},
    "aws:s3/bucketVersioning:BucketVersioning": {"versioning_configuration": (IN_PLACE, OURS)},
    "aws:secretsmanager/secretVersion:SecretVersion": {
        "secret_string_wo_version": (IN_PLACE, UNSET),
        "version_stages": (IN_PLACE, UNSET),
    },
    "aws:sns/topic:Topic": {"signature_version": (IN_PLACE, UNSET)},
}
"""Type -> attribute that looks like a version -> what the provider does, and what keeps it from that."""


@pytest.fixture(scope="module")
def registered() -> dict[str, list[Registered]]:
    """What each variant registers."""
    return {variant: [each for each in record(variant) if each.type.startswith("aws:")] for variant in VARIANTS}


def _attributes(kind: str) -> set[str]:
    """Return the attributes of a resource type that look like versions, whether this project sets them or not."""
    _, module, name = kind.split(":")
    resource = getattr(getattr(pulumi_aws, module.split("/")[0]), name)
    return {each for each in inspect.signature(resource._internal_init).parameters if _VERSION_LIKE.search(each)}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def test_every_attribute_that_looks_like_a_version_has_a_row(registered: dict[str, list[Registered]]) -> None:
    """A new resource is looked up in the provider's source before AWS moves its version."""
    kinds = {each.type for found in registered.values() for each in found}
    asked = {kind: attributes for kind in kinds if (attributes := _attributes(kind))}
    assert {kind: set(rows) for kind, rows in VERSIONS.items()} == asked


def test_no_version_that_aws_moves_makes_the_provider_replace_anything(
    registered: dict[str, list[Registered]],
) -> None:
    """A replaced cache has lost its queue, a replaced database everything."""
    values: dict[tuple[str, str], set[str]] = {}
    for found in registered.values():
        for each in found:
            for attribute, (rule, why) in VERSIONS.get(each.type, {}).items():
                where, value = f"{each.name} {attribute} ({rule})", each.inputs.get(_camel(attribute))
                assert (value is None) == (why == UNSET) or (why == OURS and value is None), where
                if why == MAJOR:
                    assert re.fullmatch(r"\d+", str(value)), where
                if why == STAYS:
                    assert each.inputs["autoMinorVersionUpgrade"] is False, where
                if attribute == "family" and value is not None:
                    values.setdefault((each.type, each.name), set()).add(str(value))
    groups = {key: found for key, found in values.items() if "arameterGroup" in key[0]}
    assert groups
    assert all(len(found) == 1 for found in groups.values()), "a variant has another family"


_MINUTE: Final = 60
# Seconds that the provider waits for the creation, the change and the deletion. A type without one has calls that
# answer at once, or are repeated for a time that nothing can change.
LIMITS: Final[dict[str, tuple[int | None, int | None, int | None]]] = {
    "aws:ec2/eip:Eip": (None, 5 * _MINUTE, 3 * _MINUTE),
    "aws:ec2/internetGateway:InternetGateway": (20 * _MINUTE, 20 * _MINUTE, 20 * _MINUTE),
    "aws:ec2/natGateway:NatGateway": (10 * _MINUTE, 10 * _MINUTE, 30 * _MINUTE),
    "aws:ec2/route:Route": (5 * _MINUTE, 2 * _MINUTE, 5 * _MINUTE),
    "aws:ec2/routeTable:RouteTable": (5 * _MINUTE, 2 * _MINUTE, 5 * _MINUTE),
    "aws:ec2/routeTableAssociation:RouteTableAssociation": (5 * _MINUTE, 2 * _MINUTE, 5 * _MINUTE),
    "aws:ec2/securityGroup:SecurityGroup": (10 * _MINUTE, None, 15 * _MINUTE),
    "aws:ec2/subnet:Subnet": (10 * _MINUTE, None, 20 * _MINUTE),
    "aws:ec2/vpcEndpoint:VpcEndpoint": (10 * _MINUTE, 10 * _MINUTE, 10 * _MINUTE),
    "aws:ecs/service:Service": (20 * _MINUTE, 20 * _MINUTE, 20 * _MINUTE),
    "aws:elasticache/replicationGroup:ReplicationGroup": (60 * _MINUTE, 40 * _MINUTE, 45 * _MINUTE),
    "aws:lb/listener:Listener": (5 * _MINUTE, 5 * _MINUTE, None),
    "aws:lb/loadBalancer:LoadBalancer": (10 * _MINUTE, 10 * _MINUTE, 10 * _MINUTE),
    "aws:rds/instance:Instance": (50 * _MINUTE, 80 * _MINUTE, 60 * _MINUTE),
    "aws:route53/record:Record": (30 * _MINUTE, 30 * _MINUTE, 30 * _MINUTE),
    "aws:s3/bucket:Bucket": (20 * _MINUTE, 20 * _MINUTE, 60 * _MINUTE),
}
UNLIMITED: Final = frozenset({
    "aws:appautoscaling/policy:Policy", "aws:appautoscaling/target:Target", "aws:cloudwatch/dashboard:Dashboard",
    "aws:cloudwatch/logGroup:LogGroup", "aws:cloudwatch/logMetricFilter:LogMetricFilter",
    "aws:cloudwatch/metricAlarm:MetricAlarm", "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "aws:ec2/vpc:Vpc",
    "aws:ecs/cluster:Cluster", "aws:ecs/taskDefinition:TaskDefinition",
    "aws:elasticache/parameterGroup:ParameterGroup", "aws:elasticache/subnetGroup:SubnetGroup", "aws:iam/role:Role",
    "aws:iam/rolePolicy:RolePolicy", "aws:kms/alias:Alias", "aws:kms/key:Key", "aws:lb/targetGroup:TargetGroup",
    "aws:rds/parameterGroup:ParameterGroup", "aws:rds/subnetGroup:SubnetGroup",
    "aws:s3/bucketLifecycleConfiguration:BucketLifecycleConfiguration", "aws:s3/bucketLogging:BucketLogging",
    "aws:s3/bucketOwnershipControls:BucketOwnershipControls", "aws:s3/bucketPolicy:BucketPolicy",
    "aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock",
    "aws:s3/bucketServerSideEncryptionConfiguration:BucketServerSideEncryptionConfiguration",
    "aws:s3/bucketVersioning:BucketVersioning", "aws:scheduler/schedule:Schedule",
    "aws:secretsmanager/secret:Secret",
    "aws:secretsmanager/secretVersion:SecretVersion", "aws:sns/topic:Topic", "aws:sns/topicPolicy:TopicPolicy",
    "aws:sns/topicSubscription:TopicSubscription", "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule",
    "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule",
})  # fmt: skip


def test_every_type_has_a_row_of_the_providers_limits(registered: dict[str, list[Registered]]) -> None:
    """A new resource is looked up: is its wait one that a setting makes longer?"""
    kinds = {each.type for found in registered.values() for each in found}
    assert {*LIMITS} | UNLIMITED == kinds
    assert not {*LIMITS} & UNLIMITED


def _normal(kind: str, what: str, *, drain_s: int, snapshot_gib: int) -> int:
    """Return the seconds that a wait may last by the settings alone, beside what the provider's limit is meant for."""
    by_settings = {
        # Its tasks' last requests end, after the balancer's time for them; and again, where a deployment was under way.
        ("aws:ecs/service:Service", "delete"): 2 * drain_s,
        # A last snapshot of the whole disk, at 100 MiB a second.
        ("aws:rds/instance:Instance", "delete"): 10 * snapshot_gib,
    }
    return by_settings.get((kind, what), 0)


@pytest.mark.parametrize("seconds", [5, 300, 3600])
@pytest.mark.parametrize("stack", ["dev", "staging"])
def test_each_limit_is_the_providers_and_what_the_settings_add(stack: str, seconds: int) -> None:
    """The provider ends a wait for what is about to be done, and the update with it."""
    settings = changed(stack, {"server": {"requestTimeout": seconds}})
    size = settings.aws.database
    snapshot = 0 if settings.backup.protect is False else size.max_storage or size.storage
    drain = timeouts(seconds).deregistration
    longer = set()
    for each in record(stack, settings=settings):
        for what, limit in zip(("create", "update", "delete"), LIMITS.get(each.type, (None,) * 3), strict=True):
            own = each.timeouts.get(what)
            normal = _normal(each.type, what, drain_s=drain, snapshot_gib=snapshot)
            assert own is None or limit is not None, f"{each.name}: the provider takes no limit for {what}"
            if limit is not None:
                effective = limit if own is None else int(own.removesuffix("s"))
                assert effective >= limit + normal, f"{each.name} {what}: {effective} s"
            if own is not None:
                longer.add((each.type, what))
    assert longer == {("aws:ecs/service:Service", "delete"), ("aws:rds/instance:Instance", "delete")}
