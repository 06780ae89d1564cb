"""Permissions on the network: VPC, security groups, load balancer, the public name's record. Pure.

EC2 draws its identifiers, so its resources are known by their tags: what is made must get this stack's, and what is
changed or deleted must have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.aws.permissions.grant import ALL, CHANGES, LOOKS, Grant, grant, owned, tagging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings


def grants(settings: Settings, naming: Naming, *, balanced: bool = True) -> Iterator[Grant]:
    """Return the permissions on everything that connects; `balanced` is whether there is a load balancer."""
    yield from _looks(balanced=balanced)
    if settings.network.mode == "create":
        yield from _vpc(naming)
    yield from _groups(naming)
    if balanced:
        yield from _balancer(settings, naming)
        yield from _record(settings, naming)


def _looks(*, balanced: bool) -> Iterator[Grant]:
    # EC2's descriptions know no resource (service authorization reference).
    yield grant(
        "LookAtNetwork",
        LOOKS,
        "ec2:DescribeAddresses DescribeAddressesAttribute DescribeAvailabilityZones DescribeInternetGateways "
        "DescribeNatGateways DescribeNetworkAcls DescribeNetworkInterfaces DescribePrefixLists "
        "DescribeRouteTables DescribeSecurityGroupRules DescribeSubnets DescribeTags DescribeVpcAttribute "
        "DescribeVpcEndpoints DescribeVpcs",
        "*",
    )
    balancers = " elasticloadbalancing:DescribeLoadBalancers" if balanced else ""
    yield grant("FindBackend", ALL, f"ec2:DescribeSecurityGroups{balancers}", "*")


def _vpc(naming: Naming) -> Iterator[Grant]:
    anything = (naming.arn("ec2", "*"),)
    yield grant(
        "MakeNetwork",
        CHANGES,
        "ec2:AllocateAddress CreateInternetGateway CreateNatGateway CreateRouteTable CreateSubnet CreateVpc "
        "CreateVpcEndpoint",
        *anything,
        StringEquals=tagging(naming),
    )
    yield grant(
        "ChangeOwnNetwork",
        CHANGES,
        "ec2:AssociateRouteTable AttachInternetGateway CreateRoute DeleteInternetGateway DeleteNatGateway "
        "DeleteRoute DeleteRouteTable DeleteSubnet DeleteVpc DeleteVpcEndpoints DetachInternetGateway "
        "DisassociateRouteTable ModifyVpcAttribute ModifyVpcEndpoint ReleaseAddress ReplaceRoute "
        "ReplaceRouteTableAssociation",
        *anything,
        StringEquals=owned(naming),
    )
    # An address that a gateway had is freed from a network interface of EC2's own, which has no tags.
    yield grant(
        "FreeAddress",
        CHANGES,
        "ec2:DisassociateAddress",
        naming.arn("ec2", "elastic-ip/*"),
        naming.arn("ec2", "network-interface/*"),
    )
    # It comes with the VPC and without tags, and is emptied once it has them.
    yield grant(
        "TagDefaultGroup",
        CHANGES,
        "ec2:CreateTags",
        naming.arn("ec2", "security-group/*"),
        StringEquals=tagging(naming),
        Null={"aws:ResourceTag/stack": "true"},
    )
    # EC2 ties the VPC to a zone of its own, which has no name beforehand, with the caller's permissions.
    yield grant(
        "NamePrivateEndpoints",
        CHANGES,
        "route53:AssociateVPCWithHostedZone",
        f"arn:{naming.partition}:route53:::hostedzone/*",
    )


def _groups(naming: Naming) -> Iterator[Grant]:
    anything = (naming.arn("ec2", "*"),)
    # The VPC may be an adopted one, which has its owner's tags.
    yield grant(
        "MakeGroups",
        CHANGES,
        "ec2:CreateSecurityGroup",
        naming.arn("ec2", "security-group/*"),
        naming.arn("ec2", "vpc/*"),
        StringEquals=tagging(naming),
    )
    rules = "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress ModifySecurityGroupRules "
    revoked = "RevokeSecurityGroupEgress RevokeSecurityGroupIngress"
    yield grant(
        "ChangeOwnGroups",
        CHANGES,
        f"ec2:{rules}{revoked} DeleteSecurityGroup",
        naming.arn("ec2", "security-group/*"),
        StringEquals=owned(naming),
    )
    # A rule belongs to a group, which the statement above asks for; a new one has no tags yet.
    yield grant("ChangeRules", CHANGES, f"ec2:{rules}{revoked}", naming.arn("ec2", "security-group-rule/*"))
    yield grant("TagWhatIsMade", CHANGES, "ec2:CreateTags", *anything, StringEquals={
                **tagging(naming),
                "ec2:CreateAction": [
                    "AllocateAddress", "AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress",
                    "CreateInternetGateway", "CreateNatGateway", "CreateRouteTable", "CreateSecurityGroup",
                    "CreateSubnet", "CreateVpc", "CreateVpcEndpoint",
                ],
            })  # fmt: skip
    yield grant("ChangeOwnTags", CHANGES, "ec2:CreateTags DeleteTags", *anything, StringEquals=owned(naming))


def _balancer(settings: Settings, naming: Naming) -> Iterator[Grant]:
    service = "elasticloadbalancing"
    balancer, targets = f"loadbalancer/app/{naming.balancer()}/*", f"targetgroup/{naming.targets()}/*"
    listener = f"listener/app/{naming.balancer()}/*"
    yield grant(
        "LookAtBalancer",
        LOOKS,
        "elasticloadbalancing:DescribeListenerAttributes DescribeListeners DescribeLoadBalancerAttributes "
        "DescribeTags DescribeTargetGroupAttributes DescribeTargetGroups DescribeCapacityReservation",
        "*",
    )
    yield grant(
        "ChangeBalancer",
        CHANGES,
        "elasticloadbalancing:AddTags CreateListener CreateLoadBalancer CreateTargetGroup DeleteListener "
        "DeleteLoadBalancer DeleteTargetGroup ModifyListener ModifyListenerAttributes "
        "ModifyLoadBalancerAttributes ModifyTargetGroup ModifyTargetGroupAttributes RemoveTags "
        "SetSecurityGroups SetSubnets",
        *(naming.arn(service, each) for each in (balancer, listener, targets)),
    )
    if settings.aws.network.certificate is not None:
        yield grant("LookAtCertificate", LOOKS, "acm:DescribeCertificate", settings.aws.network.certificate)


def _record(settings: Settings, naming: Naming) -> Iterator[Grant]:
    zone = settings.aws.network.hosted_zone
    if zone is None:
        return
    arn = f"arn:{naming.partition}:route53:::hostedzone/{zone}"
    yield grant("LookAtRecord", LOOKS, "route53:GetHostedZone ListResourceRecordSets", arn)
    yield grant("ChangeRecord", CHANGES, "route53:ChangeResourceRecordSets", arn)
    yield grant("FollowRecord", CHANGES, "route53:GetChange", f"arn:{naming.partition}:route53:::change/*")
