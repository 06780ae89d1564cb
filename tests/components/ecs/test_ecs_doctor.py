"""What `doctor` asks of an account and makes of the answers: quotas, names, roles, permissions."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws.asking import Account, Unanswered
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.doctor import linked_roles, names, permissions, quotas
from mlflow_backend.aws.permissions import Grant, Purpose
from mlflow_backend.ecs import doctor
from mlflow_backend.ecs.permissions import LINKED_ROLES, grants
from mlflow_backend.ecs.render.policies import ROLES
from mlflow_backend.findings import Outcome
from tests.components.ecs.recorded import REGION, Recorded
from tests.components.ecs.stacks import ACCOUNT, VARIANTS, naming_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.findings import Finding

GIVEN = [(doctor.CLUSTER, naming_of("dev").cluster()), *names.given(settings_of("dev"), naming_of("dev"), roles=ROLES)]
SERVICES = "rds elasticache ecs elasticloadbalancing ecs.application-autoscaling"
USE = {
    "MetricNamespace": "AWS/Usage",
    "MetricName": "ResourceCount",
    "MetricDimensions": {"Service": "Fargate"},
    "MetricStatisticRecommendation": "Maximum",
}


class AccessRequest(Account):
    """An account of recorded answers."""

    def __init__(self) -> None:
        """Nothing is recorded yet."""
        super().__init__(Connection(REGION))
        self.recorded: dict[str, Recorded] = {}

    def of(self, service: str) -> Recorded:
        """Return a service, to record its answers."""
        return self.recorded.setdefault(service, Recorded(service))

    def client(self, service: str) -> Any:
        """Return a service's client."""
        return self.of(service).client


def outcomes(found: Sequence[Finding]) -> list[Outcome]:
    """Return how each finding ended."""
    return [each.outcome for each in found]


@pytest.mark.parametrize(
    ("variant", "cpus", "addresses", "vpcs"),
    [("dev", 3, 0, 1), ("staging", 17, 3, 1), ("single-nat", 17, 1, 1), ("adopted", 17, 0, 0)],
)
def test_what_is_wanted_follows_from_the_settings(variant: str, cpus: int, addresses: int, vpcs: int) -> None:
    """During an update twice the most tasks run, and half a vCPU of a one-shot task; a NAT gateway has an address."""
    found = doctor.needed(settings_of(variant))
    assert found[doctor.FARGATE] == cpus
    assert found.get(quotas.ADDRESSES, 0) == addresses
    assert found.get(quotas.NETWORKS, 0) == vpcs


def account_with(limit: float, *, used: float | None, applied: bool = True) -> AccessRequest:
    """Return an account that may have so many vCPUs, addresses and networks, and uses some vCPUs."""
    account, quota = AccessRequest(), {"Quota": {"Value": limit, "UsageMetric": USE}}
    account.of("service-quotas").answers("GetServiceQuota", quota if applied else "NoSuchResourceException")
    account.of("service-quotas").answers("GetAWSDefaultServiceQuota", quota)
    points = [] if used is None else [{"Maximum": used, "Timestamp": datetime(2026, 1, 1, tzinfo=UTC)}]
    account.of("cloudwatch").answers("GetMetricStatistics", {"Datapoints": points})
    account.of("ec2").answers("DescribeVpcs", {"Vpcs": []})
    account.of("ec2").answers("DescribeAddresses", {"Addresses": []})
    return account


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize(
    ("limit", "used", "deployed", "outcome"),
    [
        (3, None, False, Outcome.PASS),
        (3, 1, False, Outcome.FAIL),
        (3, 3, True, Outcome.PASS),
        (2, None, False, Outcome.FAIL),
    ],
)
def test_what_is_in_use_counts_once(
    limit: float, used: float | None, *, deployed: bool, outcome: Outcome, applied: bool
) -> None:
    """Beside what others use; a deployed stack's own use is part of that already."""
    account = account_with(limit, used=used, applied=applied)
    found = next(
        each
        for each in quotas.check(account, doctor.needed(settings_of("dev")), deployed=deployed)
        if "L-3032" in each.check
    )
    assert found.outcome is outcome
    assert bool(found.command) == (outcome is Outcome.FAIL)


def test_a_quota_that_nobody_may_ask_is_no_pass() -> None:
    """It is shown as not evaluated."""
    account = AccessRequest()
    account.of("service-quotas").answers("GetServiceQuota", "AccessDeniedException")
    found = list(quotas.check(account, doctor.needed(settings_of("dev")), deployed=False))
    assert set(outcomes(found)) == {Outcome.SKIP}


def role(service: str) -> dict[str, Any]:
    """Return a service's role, as IAM lists it."""
    return {
        "Path": f"/aws-service-role/{service}.amazonaws.com/",
        "RoleName": "role",
        "RoleId": "x" * 16,
        "Arn": f"arn:aws:iam::{ACCOUNT}:role/role",
        "CreateDate": datetime(2026, 1, 1, tzinfo=UTC),
    }


@pytest.mark.parametrize("absent", SERVICES.split())
def test_each_service_without_its_role_is_named(absent: str) -> None:
    """A name that only begins alike is another service's."""
    account = AccessRequest()
    there = [role(each) for each in SERVICES.split() if each != absent]
    account.of("iam").answers("ListRoles", {"Roles": there})
    found = list(linked_roles.check(account, settings_of("dev"), LINKED_ROLES))
    (failed,) = [each for each in found if each.outcome is Outcome.FAIL]
    assert failed.command.endswith(f"--aws-service-name {absent}.amazonaws.com")


def test_what_is_adopted_needs_no_role_of_its_service() -> None:
    """Neither RDS nor ElastiCache makes anything."""
    assert set(linked_roles.services(settings_of("adopted"), LINKED_ROLES)).isdisjoint({"rds", "elasticache"})


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_name_is_one_of_the_stack(variant: str) -> None:
    """No two kinds share a question, and each name holds project and stack."""
    given = [(kind.what, name) for kind, name in names.given(settings_of(variant), naming_of(variant), roles=ROLES)]
    assert len(set(given)) == len(given)
    assert all("mlflow-backend" in name for _, name in given)


@pytest.mark.parametrize(
    ("tags", "own"),
    [
        ({"project": "mlflow-backend", "stack": "dev"}, True),
        ({"project": "mlflow-backend", "stack": "prod"}, False),
        ({}, False),
    ],
)
def test_a_cluster_is_the_stacks_by_its_tags(tags: dict[str, str], *, own: bool) -> None:
    """A cluster of the same name that somebody else made is a name that is taken."""
    account, listed = AccessRequest(), [{"key": key, "value": value} for key, value in tags.items()]
    cluster = {"clusterName": "mlflow-backend-dev-mlflow", "status": "ACTIVE", "tags": listed}
    account.of("ecs").answers("DescribeClusters", {"clusters": [cluster]})
    assert doctor.deployed(account, naming_of("dev")) is own


def test_a_bucket_of_another_account_has_no_command() -> None:
    """Nobody here can free it: another name is the only way."""
    found = list(names.check(everything_free(bucket="403"), GIVEN, naming_of("dev"), deployed=False))
    (failed,) = [each for each in found if each.outcome is Outcome.FAIL]
    assert not failed.command


def everything_free(*, bucket: str = "404") -> AccessRequest:
    """Return an account in which no name is taken, but for the bucket where something else is said."""
    account = AccessRequest()
    account.of("ecs").answers("DescribeClusters", {"clusters": []})
    account.of("secretsmanager").answers("DescribeSecret", "ResourceNotFoundException")
    account.of("logs").answers("DescribeLogGroups", {"logGroups": []})
    account.of("kms").answers("DescribeKey", "NotFoundException")
    account.of("s3").answers("HeadBucket", bucket)
    account.of("iam").answers("GetRole", "NoSuchEntity")
    account.of("rds").answers("DescribeDBInstances", "DBInstanceNotFound")
    account.of("rds").answers("DescribeDBSubnetGroups", "DBSubnetGroupNotFoundFault")
    account.of("elasticache").answers("DescribeReplicationGroups", "ReplicationGroupNotFoundFault")
    account.of("elbv2").answers("DescribeLoadBalancers", "LoadBalancerNotFound")
    account.of("elbv2").answers("DescribeTargetGroups", "TargetGroupNotFound")
    return account


def test_a_name_that_nobody_may_ask_is_no_pass() -> None:
    """Each is shown as not evaluated."""
    account = everything_free()
    account.of("kms").answers("DescribeKey", "AccessDeniedException")
    found = list(names.check(account, GIVEN, naming_of("dev"), deployed=False))
    assert outcomes(found) == [Outcome.SKIP, Outcome.PASS]
    cut_off = Unanswered(why="EndpointConnectionError", denied=True)
    assert outcomes(list(names.check(account, GIVEN, naming_of("dev"), deployed=cut_off))) == [Outcome.SKIP]


GRANT = Grant(
    sid="Some",
    purposes=frozenset({Purpose.DEPLOY}),
    actions=("s3:CreateBucket", "s3:ListBucket"),
    resources=("arn:aws:s3:::mlflow-*",),
    conditions={"StringEquals": {"aws:RequestTag/stack": "dev"}, "Null": {"aws:ResourceTag/stack": "true"}},
)


def judged(arn: str, **decisions: str) -> tuple[AccessRequest, list[Finding]]:
    """Return what is found for a caller of whose actions IAM says so."""
    account = AccessRequest()
    account.of("sts").answers("GetCallerIdentity", {"Account": ACCOUNT, "Arn": arn})
    account.of("iam").answers("GetRole", {"Role": {**role("x"), "Arn": f"arn:aws:iam::{ACCOUNT}:role/ci/deploy"}})
    results = [
        {"EvalActionName": action, "EvalDecision": decisions.get(action.partition(":")[2], "allowed")}
        for action in GRANT.actions
    ]
    account.of("iam").answers("SimulatePrincipalPolicy", {"EvaluationResults": results})
    return account, list(permissions.check(account, [GRANT]))


def test_a_session_is_evaluated_by_its_role_on_the_grants_own_resources() -> None:
    """With the role's path, a name for each wildcard, and what the request says besides."""
    account, found = judged(f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/me")
    assert outcomes(found) == [Outcome.PASS]
    (asked,) = account.of("iam").calls("SimulatePrincipalPolicy")
    assert asked["PolicySourceArn"].endswith("role/ci/deploy")
    assert asked["ResourceArns"] == ["arn:aws:s3:::mlflow-x"]
    assert [each["ContextKeyName"] for each in asked["ContextEntries"]] == ["aws:RequestTag/stack"]


def test_what_is_denied_is_named_and_the_command_attaches_the_policy() -> None:
    """To a user as to a role."""
    _, (found,) = judged(f"arn:aws:iam::{ACCOUNT}:user/team/ann", CreateBucket="implicitDeny")
    assert found.outcome is Outcome.FAIL
    assert "s3:CreateBucket" in found.message
    assert "s3:ListBucket" not in found.message
    words = shlex.split(found.command)
    assert words[:5] == ["aws", "iam", "put-user-policy", "--user-name", "ann"]
    assert json.loads(words[-1])["Statement"] == [GRANT.statement()]
    _, (found,) = judged(f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/me", ListBucket="explicitDeny")
    assert found.command.startswith("aws iam put-role-policy --role-name deploy ")


def test_more_than_an_identity_has_room_for_is_printed_instead() -> None:
    """The rendered policies are larger than what fits inside one role."""
    found = permissions._attach("role/deploy", grants(settings_of("dev"), naming_of("dev"), Purpose.DEPLOY))
    assert found == "python -m scripts.deployer_policy --stack STACK --for deploy"


def test_what_iam_does_not_judge_is_said() -> None:
    """The root user, and a caller who may not ask."""
    _, found = judged(f"arn:aws:iam::{ACCOUNT}:root")
    assert outcomes(found) == [Outcome.SKIP]
    account = AccessRequest()
    account.of("sts").answers("GetCallerIdentity", {"Arn": f"arn:aws:iam::{ACCOUNT}:user/ann"})
    account.of("iam").answers("SimulatePrincipalPolicy", "AccessDenied")
    assert outcomes(list(permissions.check(account, [GRANT]))) == [Outcome.SKIP]
