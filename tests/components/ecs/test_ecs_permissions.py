"""What whoever previews, deploys, rolls back or pushes images may do: against AWS's own reference and the provider's.

Whether the permissions are enough, and none too many, is tried by tests/rig/test_aws_permissions.py.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from mlflow_backend import ecs
from mlflow_backend.aws.permissions import Grant, PulumiState, Purpose, actions_of
from mlflow_backend.ecs.permissions import grants
from tests.components.ecs.granted import impossible, misplaced
from tests.components.ecs.simulator import Action, reference
from tests.components.ecs.stacks import VARIANTS, naming_of, settings_of
from tests.upstream.provider_calls import TABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE = Path(ecs.__file__).parents[1]
STATE = PulumiState.at("s3://team-state/stacks", key="arn:aws:kms:eu-west-1:123456789012:key/state")
# IAM asks for '*' where an action knows no resource, and some actions got one only lately.
STARRED: Final[Mapping[str, str]] = {
    "ec2:DescribeVpcAttribute": "a description, as its neighbours that know no resource",
    "ecs:ListTasks": "named by its cluster, in a condition",
    "ecs:RegisterTaskDefinition": "knew no resource until lately; bound by its tags",
    "rds:DescribeDBClusters": "preflight finds an adopted engine by its address",
    "rds:DescribeDBInstances": "the provider also lists them by a filter",
    "rds:DescribeDBParameterGroups": "as DescribeDBInstances",
    "rds:DescribeDBParameters": "as DescribeDBInstances",
    "rds:DescribeDBSubnetGroups": "as DescribeDBInstances",
    "rds:ListTagsForResource": "as DescribeDBInstances",
    "elasticache:DescribeCacheClusters": "as DescribeDBInstances",
    "elasticache:DescribeCacheParameterGroups": "as DescribeDBInstances",
    "elasticache:DescribeCacheParameters": "as DescribeDBInstances",
    "elasticache:DescribeCacheSubnetGroups": "as DescribeDBInstances",
    "elasticache:DescribeReplicationGroups": "as DescribeDBInstances",
    "elasticache:ListTagsForResource": "as DescribeDBInstances",
}
"""Actions that are granted on '*' though they know resources, and why."""


def every(variant: str) -> tuple[Grant, ...]:
    """Return the grants of all purposes of a variant, each once."""
    found = [
        each for purpose in Purpose for each in grants(settings_of(variant), naming_of(variant), purpose, state=STATE)
    ]
    return tuple({(each.sid, str(each.resources)): each for each in found}.values())


@pytest.fixture(scope="module")
def actions() -> dict[str, Action]:
    """AWS's reference of every action that any variant is granted."""
    return reference(sorted({action for variant in VARIANTS for action in actions_of(every(variant))}))


def test_whatever_the_product_keeps_in_its_own_store_may_be_read_by_every_role() -> None:
    """A new kind of object that no role may read is refused on AWS alone, as the locator once was."""
    sources = (path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    kept = {name for source in sources for name in re.findall(r"[\"'](?:\{ROOT\}|_backend)/(\w+)", source)}
    (readable,) = (each.resources for each in every("dev") if each.sid == "ReadOwnObjects")
    # These are the tasks': dumps, jobs of verifications inside, tools; who restores opens a backup's dumps with a key.
    assert kept - {"backup", "dumps", "staging", "verify"} == {
        resource.rpartition("/")[2].rstrip("*") for resource in readable
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_action_is_granted_on_what_it_knows(actions: Mapping[str, Action], variant: str) -> None:
    """No action is misspelt, none is granted on ARNs that IAM never asks about, and '*' stands only if it must."""
    found = misplaced(every(variant), actions, STARRED)
    assert not found, "\n".join(found)


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_condition_is_one_that_the_action_knows(actions: Mapping[str, Action], variant: str) -> None:
    """A condition on a key that is never there denies for ever."""
    found = impossible(every(variant), actions)
    assert not found, "\n".join(found)


IAM_NAMES: Final[Mapping[str, str]] = {
    "s3:DeleteBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:DeleteBucketLifecycle": "s3:PutLifecycleConfiguration",
    "s3:DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "s3:DeleteBucketTagging": "s3:PutBucketTagging",
    "s3:DeleteObjects": "s3:DeleteObject",
    "s3:DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    "s3:GetBucketAccelerateConfiguration": "s3:GetAccelerateConfiguration",
    "s3:GetBucketCors": "s3:GetBucketCORS",
    "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
    "s3:GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "s3:GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3:HeadBucket": "s3:ListBucket",
    "s3:ListObjectVersions": "s3:ListBucketVersions",
    "s3:ListObjectsV2": "s3:ListBucket",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}
"""S3's operations whose permission has another name (Amazon S3 API reference, each operation's 'Permissions')."""
PREFIXES: Final = {"appautoscaling": "application-autoscaling", "elbv2": "elasticloadbalancing"}

_NOT_OURS: Final = "for arguments that the program does not give"
NOT_CALLED: Final[Mapping[str, str]] = dict.fromkeys(
    [
        "logs:DeleteRetentionPolicy",
        "logs:DisassociateKmsKey",
        "logs:PutLogGroupDeletionProtection",
        "ec2:AssociateAddress",
        "ec2:GetIpamPoolAllocations",
        "ec2:AssignPrivateNatGatewayAddress",
        "ec2:AssociateNatGatewayAddress",
        "ec2:DisassociateNatGatewayAddress",
        "ec2:UnassignPrivateNatGatewayAddress",
        "ec2:DisableVgwRoutePropagation",
        "ec2:EnableVgwRoutePropagation",
        "ec2:AssociateSubnetCidrBlock",
        "ec2:DisassociateSubnetCidrBlock",
        "ec2:ModifySubnetAttribute",
        "ec2:AssociateVpcCidrBlock",
        "ec2:DisassociateVpcCidrBlock",
        "ec2:ModifyVpcTenancy",
        "ec2:AcceptVpcEndpointConnections",
        "ec2:DescribeVpcEndpointServiceConfigurations",
        "elasticache:DescribeGlobalReplicationGroups",
        "elasticache:DisassociateGlobalReplicationGroup",
        "elasticache:ModifyReplicationGroupShardConfiguration",
        "kms:DisableKey",
        "kms:DisableKeyRotation",
        "kms:EnableKey",
        "elasticloadbalancing:ModifyCapacityReservation",
        "elasticloadbalancing:ModifyIpPools",
        "elasticloadbalancing:SetIpAddressType",
        "rds:CreateDBInstanceReadReplica",
        "rds:DeleteBlueGreenDeployment",
        "rds:DescribeBlueGreenDeployments",
        "rds:PromoteReadReplica",
        "rds:RestoreDBInstanceFromDBSnapshot",
        "rds:RestoreDBInstanceFromS3",
        "rds:RestoreDBInstanceToPointInTime",
        "rds:StartDBInstance",
        "rds:StopDBInstance",
        "s3:DeleteBucketCors",
        "s3:DeleteBucketReplication",
        "s3:DeleteBucketWebsite",
        "s3:DeleteObjectTagging",
        "s3:GetObjectTagging",
        "s3:HeadObject",
        "s3:PutBucketAccelerateConfiguration",
        "s3:PutBucketAcl",
        "s3:PutBucketCors",
        "s3:PutBucketReplication",
        "s3:PutBucketRequestPayment",
        "s3:PutBucketWebsite",
        "s3:PutObjectLegalHold",
        "s3:PutObjectLockConfiguration",
        "s3:PutObjectTagging",
        "secretsmanager:DeleteResourcePolicy",
        "secretsmanager:PutResourcePolicy",
        "secretsmanager:RemoveRegionsFromReplication",
        "secretsmanager:ReplicateSecretToRegions",
        "secretsmanager:ListSecretVersionIds",
    ],
    _NOT_OURS,
) | {
    "ecs:ListServices": "lists of Terraform, which Pulumi does not ask for",
    "iam:ListRoles": "lists of Terraform, which Pulumi does not ask for",
    "ec2:DeleteNetworkInterface": "for interfaces that Lambda functions left behind",
    "ec2:DetachNetworkInterface": "for interfaces that Lambda functions left behind",
    "iam:AttachRolePolicy": "the program attaches no managed policy",
    "iam:DetachRolePolicy": "the program attaches no managed policy",
    "iam:DeleteRolePermissionsBoundary": "whoever may take a boundary away is not bound by it",
    "iam:RemoveRoleFromInstanceProfile": "tasks have no instance profile",
} | {
    f"iam:{verb}{kind}": "tags of what is no role"
    for verb in ("Tag", "Untag")
    for kind in (
        "InstanceProfile", "MFADevice", "OpenIDConnectProvider", "Policy", "SAMLProvider", "ServerCertificate", "User",
    )
}  # fmt: skip
"""Calls in the provider's source that our arguments never lead to, and why."""


def test_the_deployer_may_do_what_the_provider_calls() -> None:
    """Each call that the provider's source makes for a resource of ours is granted, or is named with a reason."""
    document = json.loads(TABLE.read_text(encoding="utf-8"))
    granted = {action for variant in VARIANTS for action in actions_of(every(variant))}
    called = {
        f"{PREFIXES.get(package, package)}:{operation}"
        for calls in document["calls"].values()
        for package, _, operation in (each.partition(".") for each in calls)
    }
    missing = {each for each in called if IAM_NAMES.get(each, each) not in granted} - set(NOT_CALLED)
    assert not missing, sorted(missing)
    assert set(NOT_CALLED) <= called, sorted(set(NOT_CALLED) - called)
    both = {each for each in NOT_CALLED if each in granted}
    assert not both, sorted(both)


def test_nothing_starred_is_stale(actions: Mapping[str, Action]) -> None:
    """An exception stands only for an action that is granted on '*' and knows resources."""
    granted = {
        action
        for variant in VARIANTS
        for grant in every(variant)
        if grant.resources == ("*",)
        for action in grant.actions
    }
    stale = {action for action in STARRED if action not in granted or not actions[action].arns}
    assert not stale, sorted(stale)


GONE: Final = ("scheduler:DeleteSchedule", "iam:DeleteRole", "iam:DeleteRolePolicy")


def test_what_a_setting_that_is_gone_had_made_can_be_deleted() -> None:
    """The policy that is printed without backups lets an update delete the schedule and the roles of those before."""
    assert settings_of("staging").backup.destination is None
    naming = naming_of("staging")
    found = grants(settings_of("staging"), naming, Purpose.DEPLOY, state=STATE)
    on = {action: {arn for each in found if action in each.actions for arn in each.resources} for action in GONE}
    assert naming.arn("scheduler", f"schedule/default/{naming.schedule('backup')}") in on["scheduler:DeleteSchedule"]
    roles = {naming.role_arn(part) for part in ("backup", "backup-execution", "scheduler")}
    assert roles <= on["iam:DeleteRole"]
    assert roles <= on["iam:DeleteRolePolicy"]
