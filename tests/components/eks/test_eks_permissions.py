"""What whoever previews, deploys or rolls back may do with a backend on EKS: against AWS's own reference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from mlflow_backend.aws.permissions import Grant, PulumiState, Purpose, actions_of
from mlflow_backend.aws.permissions.documents import policies
from mlflow_backend.eks.permissions import grants
from mlflow_backend.eks.refusals import naming_of
from tests.components.ecs.granted import impossible, misplaced
from tests.components.ecs.simulator import Action, reference
from tests.components.eks.stacks import STACK, VARIANTS, settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

STATE: Final = PulumiState.at("s3://team-state/stacks", key="arn:aws:kms:eu-west-1:123456789012:key/state")
# The blocks' own; tests/components/ecs/test_ecs_permissions.py has the reason of each.
STARRED: Final = {"ec2:DescribeVpcAttribute", "rds:ListTagsForResource", "elasticache:ListTagsForResource"}


def of(variant: str, purpose: Purpose) -> tuple[Grant, ...]:
    """Return the grants of a purpose."""
    settings = settings_of(variant)
    naming, _ = naming_of(settings, project="mlflow-backend", stack=STACK)
    return grants(settings, naming, purpose, state=STATE)


def every(variant: str) -> list[Grant]:
    """Return the grants of all purposes."""
    return [each for purpose in Purpose for each in of(variant, purpose)]


@pytest.fixture(scope="module")
def actions() -> Mapping[str, Action]:
    """AWS's reference of every action that any variant is granted."""
    return reference(sorted({each for variant in VARIANTS for each in actions_of(tuple(every(variant)))}))


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_action_is_granted_on_what_it_knows(actions: Mapping[str, Action], variant: str) -> None:
    """No action is misspelt, none is granted on ARNs that IAM never asks about, and '*' stands only if it must."""
    found = [
        each
        for each in misplaced(every(variant), actions, STARRED)
        if not each.endswith("on '*'") or not each.split(": ")[1].startswith(("rds:Describe", "elasticache:Describe"))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_condition_is_one_that_the_action_knows(actions: Mapping[str, Action], variant: str) -> None:
    """A condition on a key that is never there denies for ever."""
    found = impossible(every(variant), actions)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_role_can_have_all_that_it_needs(variant: str) -> None:
    """IAM bounds the size and the number of a role's policies; names are given once in each."""
    for purpose in Purpose:
        found = of(variant, purpose)
        assert len({each.sid for each in found}) == len(found), purpose
        assert policies(found)


def test_nothing_is_granted_that_this_target_does_not_make() -> None:
    """No load balancer, no tasks."""
    services = {action.partition(":")[0] for action in actions_of(tuple(every("eks")))}
    assert services.isdisjoint({"application-autoscaling", "ecs", "elasticloadbalancing"})
    assert "eks" in services


def test_an_adopted_cluster_is_changed_by_nobody() -> None:
    """Only the identities of this backend's pods are given to it."""
    changed = {action for action in actions_of(of("adopted", Purpose.DEPLOY)) if action.startswith("eks:")}
    assert {each for each in changed if "PodIdentity" not in each and "Describe" not in each} == {
        "eks:ListAssociatedAccessPolicies", "eks:ListTagsForResource", "eks:TagResource", "eks:UntagResource",
    }  # fmt: skip
    assert not {each for each in actions_of(of("adopted", Purpose.DEPLOY)) if "LaunchTemplate" in each}


def test_looking_and_going_back_change_no_cluster() -> None:
    """A preview of a pull request is anybody's; a rollback changes objects in the cluster only."""
    for purpose in (Purpose.PREVIEW, Purpose.PLAN, Purpose.ROLLBACK):
        verbs = {action.partition(":")[2] for action in actions_of(of("eks", purpose)) if action.startswith("eks:")}
        assert "DescribeCluster" in verbs, purpose
        assert all(each.startswith(("Describe", "List")) for each in verbs), purpose


def test_whoever_runs_the_database_tool_may_copy_the_administrators_login() -> None:
    """It is copied before each run, because RDS draws it anew by itself."""
    for purpose in (Purpose.PLAN, Purpose.ROLLBACK, Purpose.DEPLOY):
        assert {"CopyAdministrator", "FindAdministrator"} <= {each.sid for each in of("eks", purpose)}, purpose
        assert "CopyAdministrator" not in {each.sid for each in of("within", purpose)}, purpose
