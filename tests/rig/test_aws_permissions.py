"""Whether the permissions of GitHub's workflows are enough, and none too many: IAM is asked by what is really called.

The stand-in provider makes, reads, changes and deletes every resource of the stack that has everything, and the
product's own code works on it, all under the roles that `scripts/deployer_policy.py` prints. Every question that IAM is
asked meanwhile is recorded.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import boto3
import pytest
from moto import mock_aws
from moto.acm.models import acm_backends
from moto.iam.access_control import IAMRequestBase
from moto.route53.models import route53_backends

from mlflow_backend import locator
from mlflow_backend.aws import clients, secret_values, secrets
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.permissions import Purpose, policies
from mlflow_backend.aws.render.secrets import SERVER_SECRETS
from mlflow_backend.aws.scope import Scope
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.dynamic import inputs_of
from mlflow_backend.ecs import backend
from mlflow_backend.ecs.lookup import locate
from mlflow_backend.ecs.permissions import grants
from mlflow_backend.ecs.platform import EcsPlatform
from mlflow_backend.ecs.preflight import preflight_args
from mlflow_backend.pace import Pace
from mlflow_backend.preflight import resource as preflight
from mlflow_backend.preflight.ecr import EcrSource
from mlflow_backend.releases.stores import DUMPS
from mlflow_backend.server.login import VERIFICATION_KEY
from mlflow_backend.verification import inside as verification
from mlflow_backend.verify import job
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report, now
from mlflow_backend.verify.request import VerifyRequest
from tests.components.ecs.conftest import DEPRECATED
from tests.components.ecs.stacks import ACCOUNT, REGION, naming_of, settings_of
from tests.rig.aws import buckets, descriptions, labels, records
from tests.rig.aws.cache_groups import CacheGroups
from tests.rig.aws.iam import enforcement
from tests.rig.aws.iam.evaluator import Decision, decide
from tests.rig.aws.scaling import TargetTags
from tests.rig.aws.server import Transport
from tests.rig.aws.workflows import Workflows
from tests.rig.patches import Patches
from tests.rig.standin.inprocess import Made, make

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlflow_backend.target import OneShot
    from tests.rig.aws.iam.enforcement import Decided

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), pytest.mark.filterwarnings(DEPRECATED)]

VARIANT: Final = "everything"
_ASKS_NOTHING: Final = "moto asks IAM nothing for this part of a bucket, or has it not"
_NOT_CHANGED: Final = "for a change, or a tag that goes, which the stand-in makes in another way"
_PROVIDER: Final = "the upstream provider calls it, the stand-in does not (provider_calls.json)"
_SERVICES: Final = "AWS's services ask for it, and moto has no such service"
ACCOUNT_ONLY: Final[Mapping[str, str]] = {
    **dict.fromkeys(
        (
            "s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS",
            "s3:GetBucketObjectLockConfiguration",
            "s3:GetBucketOwnershipControls", "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment",
            "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration", "s3:GetReplicationConfiguration",
            "s3:ListTagsForResource", "s3:PutBucketOwnershipControls", "s3:PutBucketPublicAccessBlock",
            "s3:PutEncryptionConfiguration", "s3:TagResource", "s3:UntagResource",
        ), _ASKS_NOTHING,
    ),
    **dict.fromkeys(
        (
            "iam:UntagRole",
            "logs:UntagResource",
            "ec2:ReplaceRouteTableAssociation", "ecs:DeregisterTaskDefinition",
            "elasticache:DecreaseReplicaCount", "elasticache:IncreaseReplicaCount",
            "iam:PutRolePermissionsBoundary", "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "rds:ModifyDBInstance",
        ), _NOT_CHANGED,
    ),
    **dict.fromkeys(
        (
            "ec2:DescribeAddressesAttribute", "ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces",
            "ec2:DisassociateAddress", "ecs:DescribeServiceDeployments", "ecs:StopServiceDeployment",
            "elasticache:ResetCacheParameterGroup", "elasticloadbalancing:DescribeCapacityReservation",
            "elasticloadbalancing:DescribeListenerAttributes", "elasticloadbalancing:ModifyListenerAttributes",
            "iam:ListAttachedRolePolicies", "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies",
            "iam:UpdateRoleDescription", "rds:RebootDBInstance", "rds:ResetDBParameterGroup", "route53:GetChange",
            "secretsmanager:GetResourcePolicy", "sns:ListSubscriptionsByTopic", "sns:SetSubscriptionAttributes",
        ), _PROVIDER,
    ),
    **dict.fromkeys(
        (
            "iam:CreateServiceLinkedRole", "iam:SimulatePrincipalPolicy", "rds:CreateDBSnapshot",
            "route53:AssociateVPCWithHostedZone",
        ), _SERVICES,
    ),
}  # fmt: skip
"""Permissions that the emulated account never asks for, and why they are there."""

SHARED: Final[Mapping[str, str]] = {
    "application-autoscaling:DeleteScalingPolicy": "AWS draws the names of its targets: bound to the namespace ecs",
    "application-autoscaling:DeregisterScalableTarget": "as DeleteScalingPolicy",
    "application-autoscaling:PutScalingPolicy": "as DeleteScalingPolicy",
    "application-autoscaling:RegisterScalableTarget": "as DeleteScalingPolicy",
    "application-autoscaling:TagResource": "as DeleteScalingPolicy",
    "application-autoscaling:UntagResource": "as DeleteScalingPolicy",
    "ecr:BatchGetImage": "stacks run images of one repository",
    "ecr:GetDownloadUrlForLayer": "stacks run images of one repository",
    "iam:GetPolicy": "stacks have one boundary",
    "route53:ChangeResourceRecordSets": "the zone that the settings name",
    "route53:GetHostedZone": "the zone that the settings name",
}
"""Permissions besides descriptions that are the same for every stack of an account, and why."""

# moto's own server is not needed: it answers within this process, with the credentials that are set.
_AS_GIVEN: Final[Any] = {"core": {"mock_credentials": False}}
_RED: Final = Report(url="", profile="core", deadline_s=1, started=now(), finished=now(), verdict=Result.FAIL)


class Clock:
    """Time that passes only while somebody waits for it."""

    def __init__(self) -> None:
        """Begin."""
        self._now = 0.0

    def monotonic(self) -> float:
        """Return the time."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let time pass, a hundred times as fast."""
        self._now += 100 * seconds


class Workday:
    """The stack that has everything, from nothing to nothing, and what IAM was asked for whom."""

    def __init__(self, decided: list[Decided], patch: pytest.MonkeyPatch) -> None:
        """Make nothing yet."""
        self.decided, self._patch = decided, patch
        self.naming, self.settings = naming_of(VARIANT), settings_of(VARIANT)
        self.workflows = Workflows(VARIANT)

    def work_as(self, purpose: Purpose) -> None:
        """Let everything that asks AWS from now on do so under a workflow's role."""
        for name, value in self.workflows.caller(purpose, self.settings).variables().items():
            self._patch.setenv(name, value)

    def asked(self, purpose: Purpose) -> list[Decided]:
        """Return what IAM was asked for a role."""
        return [each for each in self.decided if each.caller.split("/")[1].endswith(f"-for-{purpose}")]

    def documents(self, purpose: Purpose) -> list[dict[str, Any]]:
        """Return the policies of a role."""
        return list(policies(grants(self.settings, self.naming, purpose)))


@pytest.fixture(scope="module")
def workday() -> Iterator[Workday]:
    """A whole life under the roles.

    moto alone cannot do each step and fails in ways of its own, which are passed over: only what IAM was asked counts,
    and a step that asked nothing leaves a permission without a use, which the tests below find.
    """
    with Patches() as patches, pytest.MonkeyPatch.context() as patch, mock_aws(config=_AS_GIVEN):
        patch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
        patch.setattr(IAMRequestBase, "check_signature", lambda _: None)
        patch.setattr(Transport, "secure", True)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        clock = Clock()
        patch.setattr("mlflow_backend.ecs.oneshot.Pace", partial(Pace, clock=clock.monotonic, pause=clock.sleep))
        CacheGroups(patches)
        TargetTags(patches)
        for repair in (buckets, descriptions, labels, records):
            repair.install(patches)
        _give_names()
        day = Workday(enforcement.install(patches), patch)
        day.work_as(Purpose.DEPLOY)
        made = make(VARIANT)
        _looks(day)
        _reads(made)
        for each in made.resources:
            made.change(each)
        _rotates(day)
        for purpose in (Purpose.DEPLOY, Purpose.PLAN, Purpose.ROLLBACK):
            day.work_as(purpose)
            _rolls_back(day, clock, changes=purpose is not Purpose.PLAN)
        day.work_as(Purpose.PREVIEW)
        _looks(day)
        _reads(made)
        day.work_as(Purpose.DEPLOY)
        made.aws.configure(made.configured)
        for each in reversed(made.resources):
            with contextlib.suppress(Exception):
                made.aws.delete(each)
        yield day


def _give_names() -> None:
    """Give the account the zone and the certificate that the settings name."""
    network = settings_of(VARIANT).aws.network
    zones, certificates = route53_backends[ACCOUNT]["aws"], acm_backends[ACCOUNT][REGION]
    zone = zones.create_hosted_zone("staging.example.com", private_zone=False, caller_reference="a test")
    zones.zones[str(network.hosted_zone)] = zone
    made = certificates.request_certificate("mlflow.staging.example.com", "", [], [])
    certificates._certificates[str(network.certificate)] = certificates._certificates.pop(made)


def _rotates(day: Workday) -> None:
    """Do what the dynamic resource of the server's secret does, from its making to its end."""
    naming, asked = day.naming, boto3.client("secretsmanager")
    (key,) = [each["TargetKeyId"] for each in boto3.client("kms").list_aliases()["Aliases"] if "TargetKeyId" in each][
        :1
    ]
    props = {
        "connection": {"region": naming.region},
        "secret": naming.secret("server"), "keyArn": naming.arn("kms", f"key/{key}"),
        "names": SERVER_SECRETS, "recoveryDays": 0, "tags": {"project": naming.project, "stack": naming.stack},
    }  # fmt: skip
    secrets.delete(asked.describe_secret(SecretId=naming.secret("server"))["ARN"], props)
    made = secrets.create(props)
    secrets.rotate_keys(Connection(naming.region), naming.secret("server"))
    secrets.update(made["arn"], props)
    secret_values.value(made["arn"], VERIFICATION_KEY, Connection(naming.region))


def _looks(day: Workday) -> None:
    """Do what preflight and the program do before anything is made or compared."""
    naming = day.naming
    preflight.check(inputs_of(preflight_args(day.settings, naming)))
    store = EcrSource(Connection(naming.region).client("ecr"), account=naming.account, repository="mlflow-backend")
    with contextlib.suppress(Exception):
        store.blob(f"sha256:{'0' * 64}")
    backend.ledger_of(Scope(settings=day.settings, naming=naming, connection=Connection(naming.region)), "any")


def _reads(made: Made) -> None:
    """Compare the state with what is there, as a refresh does, with the credentials of now."""
    made.aws.configure(made.configured)
    for each in made.resources:
        with contextlib.suppress(Exception):
            made.aws.read(each)


def _rolls_back(day: Workday, clock: Clock, *, changes: bool) -> None:
    """Do what a plan does, and a rollback; no task ever runs here, so the database gives no answer."""
    connection = Connection(day.naming.region)
    platform = EcsPlatform(locate(day.settings, day.naming, connection), clients.connections(connection))
    target = DeployedBackend(platform)
    with contextlib.suppress(Exception), target.rollback_lock():
        target.rollback_context()
    found, id_ = platform.clients, day.naming.arn("ecs", f"task/{day.naming.cluster()}/{'0' * 32}")
    task = platform.database_task(None)
    logs: Any = {"logGroupName": day.naming.log_group("tasks"), "logStreamName": "database/database/1"}
    asks: tuple[Callable[[], Any], ...] = (
        partial(task._described, id_),
        partial(task._stopped, id_, "had no end"),
        partial(found.logs.get_log_events, **logs),
        partial(target.store.size, f"{DUMPS}/1/tracking"),
        partial(locator.read, target.store),
        partial(found.ecs.list_tasks, cluster=day.naming.cluster(), serviceName=day.naming.service()),
    )
    for act in asks:
        with contextlib.suppress(Exception):
            act()
    if not changes:
        return
    scale = replace(platform.scale, pace=Pace(clock=clock.monotonic, pause=clock.sleep))
    inside = replace(platform.locator, inside=True)
    does: tuple[Callable[[], Any], ...] = (
        target.platform.stop_deployment,
        scale.down,
        scale.up,
        lambda: platform.activate("1", force=True),
        lambda: platform.prune(retain=0, spared=frozenset()),
        lambda: platform.count(job.verdict_line(_RED)),
        lambda: setattr(platform, "locator", inside),
        lambda: verification._run(platform, cast("OneShot", platform.inside()), b"job", VerifyRequest(deadline_s=1.0)),
        lambda: target.platform.mark_store(b"{}"),
        lambda: secret_values.value(platform.locator.secret, VERIFICATION_KEY, platform.locator.connection),
    )
    for act in does:
        with contextlib.suppress(Exception):
            act()


@pytest.mark.parametrize("purpose", [Purpose.PREVIEW, Purpose.PLAN, Purpose.ROLLBACK, Purpose.DEPLOY])
def test_the_permissions_are_enough(workday: Workday, purpose: Purpose) -> None:
    """IAM refuses no call: a permission that is missing is named with what it was asked for."""
    asked = workday.asked(purpose)
    refused = {f"{each.request.action} on {each.request.resource}" for each in asked if not each.allowed}
    assert asked
    assert not refused, "\n".join(sorted(refused))


def test_no_permission_is_too_many(workday: Workday) -> None:
    """Without any one action at least one call is refused, or the action is one that only an account asks for."""
    documents, asked = workday.documents(Purpose.DEPLOY), workday.asked(Purpose.DEPLOY)
    actions = sorted(
        {action for each in documents for statement in each["Statement"] for action in statement["Action"]}
    )
    needless = [action for action in actions if not enforcement.is_needed(action, documents, asked)]
    assert needless == sorted(ACCOUNT_ONLY), sorted(set(needless) ^ set(ACCOUNT_ONLY))


def test_a_stranger_is_refused(workday: Workday) -> None:
    """Under another stack's permissions each change is refused, and each look into a store, but for what is shared."""
    other = Workflows("other")
    documents = list(policies(grants(workday.settings, other.naming, Purpose.DEPLOY)))
    calls = [each.request for each in workday.asked(Purpose.DEPLOY) if each.allowed]
    named = [each for each in calls if not each.action.partition(":")[2].startswith(("Describe", "List"))]
    bound = {each.action for each in named if decide(each, documents) is not Decision.ALLOW}
    free = {each.action for each in named} - bound
    assert free == set(SHARED), sorted(free ^ set(SHARED))
