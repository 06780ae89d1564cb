"""Whether the deployer's permissions are enough for AWS's half of a backend on EKS: IAM is asked by what is called.

As test_aws_permissions.py does it for ecs: the stand-in provider makes, reads, changes and deletes every resource of
the stack that ships, and the product's own questions are asked, under the roles that `scripts/deployer_policy.py`
prints. What they may do in the cluster is the cluster's own to say.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Final

import pytest
from moto import mock_aws
from moto.iam.access_control import IAMRequestBase

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.permissions import Purpose, actions_of, policies
from mlflow_backend.aws.render.cluster import ADDONS
from mlflow_backend.eks import addons, logins
from mlflow_backend.eks.backend import EksBackend, EksBackendArgs
from mlflow_backend.eks.connection import EksConnection
from mlflow_backend.eks.locator import eks_locator
from mlflow_backend.eks.permissions import grants
from mlflow_backend.eks.refusals import naming_of
from tests.components.ecs.conftest import DEPRECATED
from tests.components.eks.recording import VERSION, fake_account, without_cluster
from tests.components.eks.stacks import ACCOUNT, STACK, settings_of
from tests.rig.aws import buckets, descriptions, labels
from tests.rig.aws.cache_groups import CacheGroups
from tests.rig.aws.eks import api
from tests.rig.aws.iam import enforcement
from tests.rig.aws.server import REGION, Transport
from tests.rig.aws.workflows import Workflows
from tests.rig.patches import Patches
from tests.rig.standin.inprocess import Made, made_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from mlflow_backend.eks.locator import EksLocator
    from tests.rig.aws.iam.enforcement import Decided
    from tests.rig.standin.base import Resource

pytestmark = [
    pytest.mark.full,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings(DEPRECATED),
]

_TEAM: Final = f"arn:aws:iam::{ACCOUNT}:role/platform"
# As in test_aws_permissions.py: moto answers within this process, with the credentials that are set.
ACCOUNT_ONLY: Final[Mapping[str, str]] = {
    "eks:DescribeUpdate": "the upstream provider waits by it for a change, the stand-in by the cluster's own state",
}
"""Permissions of EKS's own that the emulated account never asks for, and why they are there."""
_AS_GIVEN: Final[Any] = {"core": {"mock_credentials": False}}


class Day:
    """The stack's part of AWS, from nothing to nothing, and what IAM was asked for whom."""

    def __init__(self, decided: list[Decided], patch: pytest.MonkeyPatch) -> None:
        """Make nothing yet."""
        self.decided, self._patch = decided, patch
        self.compared: dict[Purpose, dict[str, str]] = {}
        self.settings = settings_of(
            over={"backup": {"protect": False}, "eks": {"cluster": {"administrators": [_TEAM]}}}
        )
        self.naming, self.objects = naming_of(self.settings, project="mlflow-backend", stack=STACK)
        self.workflows = Workflows(STACK, grants)

    def work_as(self, purpose: Purpose) -> None:
        """Let everything that asks AWS from now on do so under a workflow's role."""
        for name, value in self.workflows.caller(purpose, self.settings).variables().items():
            self._patch.setenv(name, value)

    def asked(self, purpose: Purpose) -> list[Decided]:
        """Return what IAM was asked for a role."""
        return [each for each in self.decided if each.caller.split("/")[1].endswith(f"-for-{purpose}")]

    def make(self) -> Made:
        """Make every resource of AWS."""
        args = EksBackendArgs(settings=self.settings)
        with without_cluster():
            return made_of(lambda: EksBackend("mlflow", args).tracking_url, fake_account(), stack=STACK)

    def look(self) -> None:
        """Ask what a preview and an update ask before anything is compared, and log in to the cluster."""
        addons.versions(self.settings, Connection(REGION))
        EksConnection(aws=Connection(REGION), cluster=self._located().cluster, context="any").describe()

    def find_administrator(self) -> str:
        """Ask RDS which secret has its administrator's login, as before each run of the database tool."""
        found = self._located().aws.client("rds").describe_db_instances(DBInstanceIdentifier=self._located().database)
        return str(found["DBInstances"][0]["MasterUserSecret"]["SecretArn"])

    def copy(self, secret: str) -> None:
        """Read a login that is copied into the cluster."""
        logins._values(self._located(), {"given": {}, "source": secret})

    def _located(self) -> EksLocator:
        return eks_locator(self.settings, self.naming, self.objects, Connection(REGION))


@pytest.fixture(scope="module")
def day() -> Iterator[Day]:
    """Made, looked at, compared, changed and deleted again under the roles.

    What moto cannot do fails in ways of its own, which are passed over: only what IAM was asked counts.
    """
    with Patches() as patches, pytest.MonkeyPatch.context() as patch:
        patch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
        patch.setattr(IAMRequestBase, "check_signature", lambda _: None)
        patch.setattr(Transport, "secure", True)
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        offered = [api.offer(each.name, str(settings_of().eks.cluster.version), VERSION) for each in ADDONS]
        endpoint = {"endpoint": "https://127.0.0.1:1", "certificateAuthority": {"data": "YXV0aG9yaXR5"}}
        api.install(patches, endpoint=endpoint, offered=offered)
        with mock_aws(config=_AS_GIVEN):
            api.provide_policies()
            CacheGroups(patches)
            for repair in (buckets, descriptions, labels):
                repair.install(patches)
            yield _lived(Day(enforcement.install(patches), patch))


def _difference(made: Made, resource: Resource) -> str:
    """Return what a refresh and a comparison find of a resource that nobody changed, '' if it is nothing."""
    try:
        _, _, inputs = made.aws.read(resource)
    except Exception as error:  # noqa: BLE001 - whatever it is, an update would meet it
        return repr(error)
    changed = {key for key in inputs.keys() | resource.inputs.keys() if inputs.get(key) != resource.inputs.get(key)}
    return ", ".join(sorted(changed | set(made.aws.diff(resource, resource.inputs).changed)))


def _lived(day: Day) -> Day:
    day.work_as(Purpose.DEPLOY)
    day.look()
    made = day.make()
    administrator = day.find_administrator()
    for purpose in (Purpose.DEPLOY, Purpose.PREVIEW):
        day.work_as(purpose)
        day.look()
        day.copy(administrator)
        day.copy(day.naming.secret("cache"))
        made.aws.configure(made.configured)
        day.compared[purpose] = {f"{each.token} {each.name}": _difference(made, each) for each in made.resources}
    for purpose in (Purpose.PLAN, Purpose.ROLLBACK, Purpose.DEPLOY):
        day.work_as(purpose)
        day.copy(day.find_administrator())
    made.aws.configure(made.configured)
    for each in made.resources:
        made.change(each)
    for each in reversed(made.resources):
        with contextlib.suppress(Exception):
            made.aws.delete(each)
    return day


@pytest.mark.parametrize("purpose", [Purpose.PREVIEW, Purpose.PLAN, Purpose.ROLLBACK, Purpose.DEPLOY])
def test_the_permissions_are_enough(day: Day, purpose: Purpose) -> None:
    """IAM refuses no call: a permission that is missing is named with what it was asked for."""
    asked_for = day.asked(purpose)
    refused = {f"{each.request.action} on {each.request.resource}" for each in asked_for if not each.allowed}
    assert asked_for
    assert not refused, "\n".join(sorted(refused))


@pytest.mark.parametrize("purpose", [Purpose.PREVIEW, Purpose.DEPLOY])
def test_what_nobody_changed_is_no_difference(day: Day, purpose: Purpose) -> None:
    """The next preview and the next update see the whole stack, and find nothing to do."""
    assert len(day.compared[purpose]) > 60
    assert {name: found for name, found in day.compared[purpose].items() if found} == {}


def test_no_permission_of_a_clusters_is_too_many(day: Day) -> None:
    """Without any one action at least one call is refused, or the action is one that only an account asks for."""
    given = grants(day.settings, day.naming, Purpose.DEPLOY)
    documents, asked_for = list(policies(given)), day.asked(Purpose.DEPLOY)
    own = [each for each in actions_of(given) if each.startswith("eks:") or "LaunchTemplate" in each]
    needless = [each for each in sorted(own) if not enforcement.is_needed(each, documents, asked_for)]
    assert needless == sorted(ACCOUNT_ONLY), sorted(set(needless) ^ set(ACCOUNT_ONLY))
