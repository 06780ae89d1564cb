"""An MLflow backend in a VPC that this program makes; everything else is the component's."""

import pulumi
import pulumi_aws as aws

from mlflow_backend import (
    AccessSettings,
    AwsSettings,
    BackupSettings,
    Connection,
    DatabaseSettings,
    EcsBackend,
    EcsBackendArgs,
    ExistingNetwork,
    ServerSettings,
)  # fmt: skip

config = pulumi.Config()
vpc = aws.ec2.Vpc("team", cidr_block="10.20.0.0/16", enable_dns_support=True, enable_dns_hostnames=True)


def subnet(name: str, number: int, **way_out: pulumi.Input[str]) -> aws.ec2.Subnet:
    """Return a subnet in zone a, b, ... and the route by which it reaches AWS."""
    zone, block = f"eu-west-1{'ab'[number % 2]}", f"10.20.{number}.0/24"
    made = aws.ec2.Subnet(name, vpc_id=vpc.id, cidr_block=block, availability_zone=zone)
    table = aws.ec2.RouteTable(name, vpc_id=vpc.id)
    aws.ec2.RouteTableAssociation(name, subnet_id=made.id, route_table_id=table.id)
    aws.ec2.Route(name, route_table_id=table.id, destination_cidr_block="0.0.0.0/0", **way_out)
    return made


public = subnet("public", 2, gateway_id=aws.ec2.InternetGateway("team", vpc_id=vpc.id).id)
nat = aws.ec2.NatGateway("team", subnet_id=public.id, allocation_id=aws.ec2.Eip("team", domain="vpc").id)
private = [subnet(f"private-{number}", number, nat_gateway_id=nat.id) for number in (0, 1)]

backend = EcsBackend(
    "mlflow",
    EcsBackendArgs(
        connection=Connection("eu-west-1"),
        account=config.require("account"),
        server=ServerSettings(image=config.require("image"), replicas=1),
        database=DatabaseSettings.model_validate({"maxConnections": 220}),
        access=AccessSettings(mode="basic"),
        backup=BackupSettings(protect=False),
        aws=AwsSettings.model_validate({"network": {"internal": True}}),
        existing_network=ExistingNetwork(vpc_id=vpc.id, private_subnets=[each.id for each in private]),
    ),
)
pulumi.export("trackingUrl", backend.tracking_url)
pulumi.export("locator", backend.locator)
