"""The permissions in AWS of those who preview, deploy, roll back or push images on a backend on EKS. Pure.

What they may do in the cluster is the cluster's own to say: by access entries, and by the target kubernetes's Role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.permissions import deployer, watching
from mlflow_backend.aws.permissions.grant import (
    ALL,
    CHANGES,
    LOOKS,
    WORKS,
    Conditions,
    Grant,
    Purpose,
    grant,
    owned,
    tagging,
)
from mlflow_backend.aws.render import alarms, cluster
from mlflow_backend.aws.render.database import database_plan
from mlflow_backend.eks.roles import roles
from mlflow_backend.eks.within import cluster_arn, cluster_name, created, rds
from mlflow_backend.schedules import BACKUP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

_MANAGED: Final = {
    "cluster": cluster.CLUSTER_POLICIES,
    "nodes": cluster.NODE_POLICIES,
    "volumes": cluster.VOLUMES_POLICIES,
}
"""Roles of a created cluster -> AWS's own policies that they have."""


def grants(
    settings: Settings, naming: Naming, purpose: Purpose, *, state: deployer.PulumiState | None = None
) -> tuple[Grant, ...]:
    """Return what a role of a purpose may do with a stack's backend; `state` is where Pulumi keeps the stack."""
    # Also without backups: the role that a setting which is gone had made is deleted by the next update.
    pods = list(dict.fromkeys([*(role.part for role in roles(settings, naming)), BACKUP]))
    made = list(_MANAGED) if created(settings) else []
    found = [*_looks(settings, naming), *_logins(settings, naming), *_identities(settings, naming, pods)]
    watched = alarms.of_stores(database=database_plan(settings) if rds(settings) else None, cache=True)
    found += watching.of_alarms(settings, naming, watched)
    if created(settings):
        found += [*_cluster(settings, naming), *_nodes(naming), *_managed(naming)]
    own = deployer.Own(
        roles=[*pods, *made],
        services=("eks", "eks-nodegroup") if made else (),
        grants=found,
        balanced=False,
    )
    return deployer.grants(settings, naming, purpose, own, state=state)


def _below(settings: Settings, naming: Naming) -> tuple[str, ...]:
    """Return the ARNs of what a cluster has: node groups, add-ons, access entries, identities of pods."""
    name = cluster_name(settings, naming)
    kinds = ("nodegroup", "addon", "access-entry", "podidentityassociation")
    return tuple(naming.arn("eks", f"{kind}/{name}/*") for kind in kinds)


def _looks(settings: Settings, naming: Naming) -> Iterator[Grant]:
    itself, below = cluster_arn(settings, naming), _below(settings, naming)
    # Where the API is, for whoever logs in to it; a token itself needs no permission.
    yield grant("FindCluster", ALL, "eks:DescribeCluster", itself)
    yield grant(
        "LookAtCluster",
        LOOKS,
        "eks:DescribeAccessEntry DescribeAddon DescribeNodegroup DescribePodIdentityAssociation "
        "ListAssociatedAccessPolicies ListTagsForResource",
        itself,
        *below,
    )
    if created(settings):
        # The action knows no resource (service authorization reference, Amazon EKS).
        yield grant("FindAddonVersions", LOOKS, "eks:DescribeAddonVersions", "*")


def _logins(settings: Settings, naming: Naming) -> Iterator[Grant]:
    """What is copied into the cluster is read by whoever copies it."""
    if rds(settings):
        secret = naming.arn("secretsmanager", "secret:rds!db-*")
        yield grant("CopyAdministrator", LOOKS | WORKS, "secretsmanager:GetSecretValue", secret)
        instance = naming.arn("rds", f"db:{naming.database()}")
        yield grant("FindAdministrator", WORKS, "rds:DescribeDBInstances", instance)
    given = [settings.aws.database.secret, settings.aws.cache.secret]
    if named := [each for each in given if each is not None]:
        yield grant("CopyLogins", LOOKS, "secretsmanager:GetSecretValue", *named)


def _identities(settings: Settings, naming: Naming, pods: list[str]) -> Iterator[Grant]:
    itself, below = cluster_arn(settings, naming), _below(settings, naming)[-1]
    to_pods: Conditions = {"StringEquals": {"iam:PassedToService": cluster.PODS}}
    yield grant("PassRolesToPods", CHANGES, "iam:PassRole", *(naming.role_arn(part) for part in pods), **to_pods)
    yield grant(
        "GiveIdentities",
        CHANGES,
        "eks:CreatePodIdentityAssociation DeletePodIdentityAssociation TagResource UntagResource "
        "UpdatePodIdentityAssociation",
        itself,
        below,
    )


def _cluster(settings: Settings, naming: Naming) -> Iterator[Grant]:
    itself, below = cluster_arn(settings, naming), _below(settings, naming)
    # The action knows no resource; the tags hold it to this stack.
    yield grant("MakeCluster", CHANGES, "eks:CreateCluster", "*", StringEquals=tagging(naming))
    yield grant(
        "ChangeCluster",
        CHANGES,
        "eks:AssociateAccessPolicy CreateAccessEntry CreateAddon CreateNodegroup DeleteAccessEntry "
        "DeleteAddon DeleteCluster DeleteNodegroup DescribeUpdate DisassociateAccessPolicy TagResource UntagResource "
        "UpdateAddon UpdateClusterConfig UpdateClusterVersion UpdateNodegroupConfig "
        "UpdateNodegroupVersion",
        itself,
        *below,
    )
    # Which of the services a call passes a role to is documented for some calls only; the roles trust one each.
    services = ["eks.amazonaws.com", cluster.nodes_service(naming), cluster.PODS]
    to_services: Conditions = {"StringEquals": {"iam:PassedToService": services}}
    yield grant("PassRoles", CHANGES, "iam:PassRole", *(naming.role_arn(part) for part in _MANAGED), **to_services)
    # EKS encrypts Secrets by a grant that its caller makes (Amazon EKS user guide, 'Encrypt Kubernetes secrets').
    yield grant(
        "EncryptSecrets",
        CHANGES,
        "kms:CreateGrant DescribeKey",
        naming.arn("kms", "key/*"),
        StringEquals=owned(naming),
    )
    group = naming.arn("logs", f"log-group:{cluster.logs_group(cluster_name(settings, naming))}")
    yield grant("FindControlPlaneLogs", LOOKS, "logs:DescribeLogGroups", "*")
    yield grant("LookAtControlPlaneLogs", LOOKS, "logs:ListTagsForResource", group, f"{group}:*")
    yield grant(
        "ChangeControlPlaneLogs",
        CHANGES,
        "logs:CreateLogGroup DeleteLogGroup PutRetentionPolicy TagResource UntagResource",
        group,
        f"{group}:*",
    )


def _nodes(naming: Naming) -> Iterator[Grant]:
    templates = naming.arn("ec2", "launch-template/*")
    # EC2's descriptions know no resource (service authorization reference).
    yield grant("LookAtTemplates", LOOKS, "ec2:DescribeLaunchTemplateVersions DescribeLaunchTemplates", "*")
    yield grant("MakeTemplate", CHANGES, "ec2:CreateLaunchTemplate", templates, StringEquals=tagging(naming))
    yield grant(
        "TagTemplate",
        CHANGES,
        "ec2:CreateTags",
        templates,
        StringEquals={**tagging(naming), "ec2:CreateAction": "CreateLaunchTemplate"},
    )
    yield grant(
        "ChangeTemplate",
        CHANGES,
        "ec2:CreateLaunchTemplateVersion DeleteLaunchTemplate ModifyLaunchTemplate",
        templates,
        StringEquals=owned(naming),
    )
    # EKS tries the template with the caller's permissions before it makes a group (Amazon EKS user guide, 'Customize
    # managed nodes with launch templates').
    yield grant(
        "TryTemplate",
        CHANGES,
        "ec2:RunInstances",
        naming.arn("ec2", "*"),
        f"arn:{naming.partition}:ec2:{naming.region}::image/*",
        ArnLike={"ec2:LaunchTemplate": templates},
    )


def _managed(naming: Naming) -> Iterator[Grant]:
    """AWS's own policies are attached to the cluster's roles, each to its own, and no other ones."""
    for part, policies in _MANAGED.items():
        yield grant(
            f"Attach{part.capitalize()}",
            CHANGES,
            "iam:AttachRolePolicy DetachRolePolicy",
            naming.role_arn(part),
            ArnEquals={"iam:PolicyARN": [cluster.policy_arn(naming, each) for each in policies]},
        )
