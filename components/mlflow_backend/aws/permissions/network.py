"""Permissions on the network: VPC, security groups, load balancer, the public name's record. Pure.

EC2 draws its identifiers, so its resources are known by their tags: what is made must get this stack's, and what is
changed or deleted must have them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.aws.permissions.grant import ALL, CHANGES, LOOKS, Grant, actions, owned, tagging

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings


def grants(settings: Settings, naming: Naming) -> Iterator[Grant]:
    """Return the permissions on everything that connects."""
    yield from _looks()
    if settings.network.mode == "create":
        yield from _vpc(naming)
    yield from _groups(naming)
    yield from _balancer(settings, naming)
    yield from _record(settings, naming)


def _looks() -> Iterator[Grant]:
    yield Grant(
        sid="LookAtNetwork",
        purposes=LOOKS,
        # EC2's descriptions know no resource (service authorization reference).
        actions=actions(
            "ec2",
            "DescribeAddresses DescribeAddressesAttribute DescribeAvailabilityZones DescribeInternetGateways "
            "DescribeNatGateways DescribeNetworkAcls DescribeNetworkInterfaces DescribePrefixLists DescribeRouteTables "
            "DescribeSecurityGroupRules DescribeSubnets DescribeTags DescribeVpcAttribute DescribeVpcEndpoints "
            "DescribeVpcs",
        ),
        resources=("*",),
    )
    yield Grant(
        sid="FindBackend",
        purposes=ALL,
        actions=("ec2:DescribeSecurityGroups", "elasticloadbalancing:DescribeLoadBalancers"),
        resources=("*",),
    )


def _vpc(naming: Naming) -> Iterator[Grant]:
    anything = (naming.arn("ec2", "*"),)
    yield Grant(
        sid="MakeNetwork",
        purposes=CHANGES,
        actions=actions(
            "ec2",
            "AllocateAddress CreateInternetGateway CreateNatGateway CreateRouteTable CreateSubnet CreateVpc "
            "CreateVpcEndpoint",
        ),
        resources=anything,
        conditions={"StringEquals": tagging(naming)},
    )
    yield Grant(
        sid="ChangeOwnNetwork",
        purposes=CHANGES,
        actions=actions(
            "ec2",
            "AssociateRouteTable AttachInternetGateway CreateRoute DeleteInternetGateway DeleteNatGateway DeleteRoute "
            "DeleteRouteTable DeleteSubnet DeleteVpc DeleteVpcEndpoints DetachInternetGateway DisassociateRouteTable "
            "ModifyVpcAttribute ModifyVpcEndpoint ReleaseAddress ReplaceRoute ReplaceRouteTableAssociation",
        ),
        resources=anything,
        conditions={"StringEquals": owned(naming)},
    )
    yield Grant(
        sid="FreeAddress",
        purposes=CHANGES,
        # An address that a gateway had is freed from a network interface of EC2's own, which has no tags.
        actions=("ec2:DisassociateAddress",),
        resources=(naming.arn("ec2", "elastic-ip/*"), naming.arn("ec2", "network-interface/*")),
    )
    yield Grant(
        sid="TagDefaultGroup",
        purposes=CHANGES,
        # It comes with the VPC and without tags, and is emptied once it has them.
        actions=("ec2:CreateTags",),
        resources=(naming.arn("ec2", "security-group/*"),),
        conditions={"StringEquals": tagging(naming), "Null": {"aws:ResourceTag/stack": "true"}},
    )
    yield Grant(
        sid="NamePrivateEndpoints",
        purposes=CHANGES,
        actions=("route53:AssociateVPCWithHostedZone",),
        # EC2 ties the VPC to a zone of its own, which has no name beforehand, with the caller's permissions.
        resources=(f"arn:{naming.partition}:route53:::hostedzone/*",),
    )


def _groups(naming: Naming) -> Iterator[Grant]:
    anything = (naming.arn("ec2", "*"),)
    yield Grant(
        sid="MakeGroups",
        purposes=CHANGES,
        actions=("ec2:CreateSecurityGroup",),
        # The VPC may be an adopted one, which has its owner's tags.
        resources=(naming.arn("ec2", "security-group/*"), naming.arn("ec2", "vpc/*")),
        conditions={"StringEquals": tagging(naming)},
    )
    rules = "AuthorizeSecurityGroupEgress AuthorizeSecurityGroupIngress ModifySecurityGroupRules "
    revoked = "RevokeSecurityGroupEgress RevokeSecurityGroupIngress"
    yield Grant(
        sid="ChangeOwnGroups",
        purposes=CHANGES,
        actions=actions("ec2", f"{rules}{revoked} DeleteSecurityGroup"),
        resources=(naming.arn("ec2", "security-group/*"),),
        conditions={"StringEquals": owned(naming)},
    )
    yield Grant(
        sid="ChangeRules",
        purposes=CHANGES,
        # A rule belongs to a group, which the statement above asks for; a new one has no tags yet.
        actions=actions("ec2", f"{rules}{revoked}"),
        resources=(naming.arn("ec2", "security-group-rule/*"),),
    )
    yield Grant(
        sid="TagWhatIsMade",
        purposes=CHANGES,
        actions=("ec2:CreateTags",),
        resources=anything,
        conditions={
            "StringEquals": {
                **tagging(naming),
                "ec2:CreateAction": [
                    "AllocateAddress", "AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress",
                    "CreateInternetGateway", "CreateNatGateway", "CreateRouteTable", "CreateSecurityGroup",
                    "CreateSubnet", "CreateVpc", "CreateVpcEndpoint",
                ],
            }
        },
    )  # fmt: skip
    yield Grant(
        sid="ChangeOwnTags",
        purposes=CHANGES,
        actions=("ec2:CreateTags", "ec2:DeleteTags"),
        resources=anything,
        conditions={"StringEquals": owned(naming)},
    )


def _balancer(settings: Settings, naming: Naming) -> Iterator[Grant]:
    service = "elasticloadbalancing"
    balancer, targets = f"loadbalancer/app/{naming.balancer()}/*", f"targetgroup/{naming.targets()}/*"
    listener = f"listener/app/{naming.balancer()}/*"
    yield Grant(
        sid="LookAtBalancer",
        purposes=LOOKS,
        actions=actions(
            service,
            "DescribeListenerAttributes DescribeListeners DescribeLoadBalancerAttributes DescribeTags "
            "DescribeTargetGroupAttributes DescribeTargetGroups DescribeCapacityReservation",
        ),
        resources=("*",),
    )
    yield Grant(
        sid="ChangeBalancer",
        purposes=CHANGES,
        actions=actions(
            service,
            "AddTags CreateListener CreateLoadBalancer CreateTargetGroup DeleteListener DeleteLoadBalancer "
            "DeleteTargetGroup ModifyListener ModifyListenerAttributes ModifyLoadBalancerAttributes ModifyTargetGroup "
            "ModifyTargetGroupAttributes RemoveTags SetSecurityGroups SetSubnets",
        ),
        resources=tuple(naming.arn(service, each) for each in (balancer, listener, targets)),
    )
    if settings.aws.network.certificate is not None:
        yield Grant(
            sid="LookAtCertificate",
            purposes=LOOKS,
            actions=("acm:DescribeCertificate",),
            resources=(settings.aws.network.certificate,),
        )


def _record(settings: Settings, naming: Naming) -> Iterator[Grant]:
    zone = settings.aws.network.hosted_zone
    if zone is None:
        return
    arn = f"arn:{naming.partition}:route53:::hostedzone/{zone}"
    yield Grant(
        sid="LookAtRecord",
        purposes=LOOKS,
        actions=("route53:GetHostedZone", "route53:ListResourceRecordSets"),
        resources=(arn,),
    )
    yield Grant(sid="ChangeRecord", purposes=CHANGES, actions=("route53:ChangeResourceRecordSets",), resources=(arn,))
    yield Grant(
        sid="FollowRecord",
        purposes=CHANGES,
        actions=("route53:GetChange",),
        resources=(f"arn:{naming.partition}:route53:::change/*",),
    )
