"""What AWS's services ask of what is registered, and the provider cannot see: characters, versions, times, zones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi_aws
import pytest

from mlflow_backend.aws.render.balancer import rollout_deadline
from mlflow_backend.aws.render.database import ENGINE_VERSION, PARAMETER_FAMILY
from mlflow_backend.aws.zones import zone_name
from mlflow_backend.contract import Refused
from mlflow_backend.preflight.image import CLIENT_MAJOR
from tests.components.ecs.conftest import DEPRECATED
from tests.components.ecs.recording import record
from tests.components.ecs.stacks import VARIANTS, changed

if TYPE_CHECKING:
    from tests.components.registrations import Registered

pytestmark = pytest.mark.filterwarnings(DEPRECATED)

ROOT = Path(__file__).resolve().parents[3]
# EC2 API reference, IpRange and CreateSecurityGroup (terraform-provider-aws, internal/service/ec2/validate.go).
EC2 = r"[a-zA-Z0-9. _\-:/()#,@\[\]+=&;{}!$*]{0,255}"
ANY = r"[\s\S]*"
# IAM API reference, CreateRole.
IAM = r"[\t\n\r\x20-\x7e\xa1-\xff]{0,1000}"
# RDS API reference, CreateDBSubnetGroup (terraform-provider-aws says the same of its names).
PRINTABLE = r"[\x20-\x7e]{0,255}"
DASHED = r"[a-zA-Z][a-zA-Z0-9-]*"
NAME = r"[a-zA-Z0-9_-]{1,255}"
TAG = r"[\w .:/=+@-]{0,256}"
# Service -> resource -> field -> what the service takes. A type with such a field and without a row fails the test.
FIELDS: dict[str, dict[str, dict[str, str]]] = {
    "ec2": {
        "aws:ec2/securityGroup:SecurityGroup": {"description": EC2, "name": EC2},
        "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": {"description": EC2},
        "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule": {"description": EC2},
    },
    "elasticloadbalancing": {
        "aws:lb/loadBalancer:LoadBalancer": {"name": r"(?!internal-)[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?"},
        "aws:lb/targetGroup:TargetGroup": {"name": r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?"},
    },
    "ecs": {
        "aws:ecs/cluster:Cluster": {"name": NAME},
        "aws:ecs/service:Service": {"name": NAME},
    },
    "elasticache": {
        "aws:elasticache/replicationGroup:ReplicationGroup": {"description": ANY},
        "aws:elasticache/subnetGroup:SubnetGroup": {"description": ANY, "name": r"[a-z0-9-]{1,255}"},
        "aws:elasticache/parameterGroup:ParameterGroup": {"description": ANY, "name": DASHED},
    },
    "rds": {
        "aws:rds/subnetGroup:SubnetGroup": {"description": PRINTABLE, "name": r"(?!default$)[a-z0-9. _-]{1,255}"},
        "aws:rds/parameterGroup:ParameterGroup": {"description": PRINTABLE, "name": r"[a-z][a-z0-9-]{0,254}"},
    },
    "iam": {
        "aws:iam/role:Role": {"description": IAM, "name": r"[\w+=,.@-]{1,64}"},
        "aws:iam/rolePolicy:RolePolicy": {"name": r"[\w+=,.@-]{1,128}"},
    },
    "logs": {
        "aws:cloudwatch/logGroup:LogGroup": {"name": r"[.\-_/#A-Za-z0-9]{1,512}"},
        "aws:cloudwatch/logMetricFilter:LogMetricFilter": {"name": r"[^:*]{1,512}"},
    },
    "cloudwatch": {
        "aws:cloudwatch/metricAlarm:MetricAlarm": {"name": ANY, "alarmDescription": ANY},
        "aws:cloudwatch/dashboard:Dashboard": {"dashboardName": NAME},
    },
    "scheduler": {"aws:scheduler/schedule:Schedule": {"name": r"[0-9a-zA-Z-_.]{1,64}"}},
    "kms": {"aws:kms/key:Key": {"description": ANY}, "aws:kms/alias:Alias": {"name": r"alias/(?!aws/)[a-zA-Z0-9/_-]+"}},
    "secretsmanager": {
        "aws:secretsmanager/secret:Secret": {"description": ANY, "name": r"[a-zA-Z0-9/_+=.@-]{1,512}"},
    },
    "sns": {"aws:sns/topic:Topic": {"name": r"[a-zA-Z0-9_-]{1,256}"}},
    "application-autoscaling": {"aws:appautoscaling/policy:Policy": {"name": r"\w+"}},
    "route53": {"aws:route53/record:Record": {"name": r"[a-z0-9.*-]+"}},
}
ROWS = {kind: fields for service in FIELDS.values() for kind, fields in service.items()}
# Fields of free text by name; whatever else a service calls one must be added here.
FREE = frozenset({"description", "name", "alarmDescription", "displayName", "dashboardName"})


@pytest.fixture(scope="module")
def registered() -> dict[str, list[Registered]]:
    """Everything that each variant registers."""
    return {variant: record(variant) for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_free_text_is_of_its_services_character_set(
    registered: dict[str, list[Registered]], variant: str
) -> None:
    """An apostrophe in a rule's description passes every validator of the provider, and EC2 refuses it."""
    described = {each.type for each in registered[variant] if FREE & each.inputs.keys()}
    assert described >= {"aws:ec2/securityGroup:SecurityGroup", "aws:cloudwatch/metricAlarm:MetricAlarm"}
    for each in registered[variant]:
        if not each.type.startswith("aws:"):
            continue
        texts = {key: value for key, value in each.inputs.items() if key in FREE and isinstance(value, str)}
        assert not texts or each.type in ROWS, f"{each.type}: look up what its service takes for {sorted(texts)}"
        for key, value in texts.items():
            assert key in ROWS[each.type], f"{each.type} {key}"
            assert re.fullmatch(ROWS[each.type][key], value), f"{each.name} {key}: {value}"
        for key, value in each.inputs.get("tags", {}).items():
            assert re.fullmatch(TAG, f"{key}{value}"), f"{each.name} tag {key}"


def test_every_row_is_of_a_resource_that_there_is() -> None:
    """A mistyped type would guard nothing."""
    for kind in ROWS:
        _, module, name = kind.split(":")
        assert hasattr(getattr(pulumi_aws, module.split("/")[0]), name), kind


def test_the_clients_and_every_engine_are_of_one_major() -> None:
    """pg_restore 17 fails on Postgres 16 in the middle: image, RDS and its parameters move together.

    tests/server/test_db_majors.py says the same of the rig's Postgres.
    """
    dockerfile = (ROOT / "server" / "Dockerfile").read_text(encoding="utf-8")
    (client,) = re.findall(r"^ARG POSTGRES_CLIENT=(\d+)$", dockerfile, re.MULTILINE)
    assert {client, ENGINE_VERSION, PARAMETER_FAMILY.removeprefix("postgres"), str(CLIENT_MAJOR)} == {"17"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_engine_moves_by_itself_to_what_the_provider_would_replace(
    registered: dict[str, list[Registered]], variant: str
) -> None:
    """A cache that AWS moved to 8.1 would be replaced by one of 8.0, and the queue be lost."""
    found: dict[str, list[Any]] = {}
    for each in registered[variant]:
        found.setdefault(each.type, []).append(each.inputs)
    engines = {kind for kind in found if kind.endswith((":ReplicationGroup", "rds/instance:Instance"))}
    assert len(engines) == (0 if variant == "adopted" else 2)
    for group in found.get("aws:elasticache/replicationGroup:ReplicationGroup", []):
        assert group["autoMinorVersionUpgrade"] is False
        assert group["authTokenUpdateStrategy"] == "ROTATE"
    for instance in found.get("aws:rds/instance:Instance", []):
        # A major alone: whichever minor one RDS has is the same to the provider.
        assert re.fullmatch(r"\d+", instance["engineVersion"])


@pytest.mark.parametrize("seconds", [5, 300, 3600])
def test_deadlines_follow_from_the_longest_request(seconds: int) -> None:
    """ECS calls a deployment complete when the last request of the old tasks has ended."""
    settings = changed("dev", {"server": {"requestTimeout": seconds}})
    found = record("dev", settings=settings)
    (rollout,) = [each for each in found if each.name.endswith("-rollout")]
    assert rollout.inputs["deadline"] == rollout_deadline(seconds) >= 1800 + 2 * seconds


def test_zones_beyond_the_regions_are_refused_in_words() -> None:
    """us-west-1 has two for most accounts."""
    assert zone_name(["a", "b", "c"], 2, zones=3, region="us-west-1") == "c"
    with pytest.raises(Refused, match=r"aws\.network\.zones is 3"):
        zone_name(["us-west-1a", "us-west-1c"], 2, zones=3, region="us-west-1")
