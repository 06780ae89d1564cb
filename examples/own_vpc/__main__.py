"""An MLflow backend in a VPC that this program makes; everything else is the component's."""

import pulumi
import pulumi_aws as aws

from mlflow_backend import (
    AccessSettings,
    AwsSettings,
    BackupSettings,
    EcsBackend,
    EcsBackendArgs,
    ExistingNetwork,
    ServerSettings,
    Settings,
)

config = pulumi.Config()
vpc = aws.ec2.Vpc("team", cidr_block="10.20.0.0/16", enable_dns_support=True, enable_dns_hostnames=True)
public, *private = (
    aws.ec2.Subnet(name, vpc_id=vpc.id, cidr_block=f"10.20.{number}.0/24", availability_zone=f"eu-west-1{zone}")
    for number, (name, zone) in enumerate([("public", "a"), ("private-a", "a"), ("private-b", "b")])
)
gateway = aws.ec2.InternetGateway("team", vpc_id=vpc.id)
outward = aws.ec2.RouteTable("public", vpc_id=vpc.id)
aws.ec2.RouteTableAssociation("public", subnet_id=public.id, route_table_id=outward.id)
everywhere = "0.0.0.0/0"
aws.ec2.Route("public", route_table_id=outward.id, destination_cidr_block=everywhere, gateway_id=gateway.id)
nat = aws.ec2.NatGateway("team", subnet_id=public.id, allocation_id=aws.ec2.Eip("team", domain="vpc").id)
inward = vpc.main_route_table_id
aws.ec2.Route("private", route_table_id=inward, destination_cidr_block=everywhere, nat_gateway_id=nat.id)

settings = Settings(
    target="ecs",
    aws=AwsSettings(account=config.require("account"), region="eu-west-1"),
    server=ServerSettings(mlflow_version="3.17.2", image=config.require("image")),
    access=AccessSettings(mode="basic"),
    # A program to try: without this, `pulumi destroy` refuses to delete what holds data.
    backup=BackupSettings(protect=False),
)
network = ExistingNetwork(vpc_id=vpc.id, private_subnets=[each.id for each in private])
backend = EcsBackend("mlflow", EcsBackendArgs(settings=settings, existing_network=network))
pulumi.export("trackingUrl", backend.tracking_url)
pulumi.export("locator", backend.locator)
