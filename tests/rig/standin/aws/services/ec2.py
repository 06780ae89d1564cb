"""VPC, subnets, routes, gateways and endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account

_ARN: Final = "arn:{partition}:ec2:{region}:{account}"


def _vpc_attribute(name: str) -> Operation:
    member = name[0].upper() + name[1:]
    return Operation(
        call="describe_vpc_attribute",
        keys={"VpcId": "{id}", "Attribute": name},
        gives={name: f"{member}.Value"},
    )


def _attach(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    _detach(account, is_)
    account.call("ec2", "attach_internet_gateway", {"InternetGatewayId": is_["id"], "VpcId": wanted["vpcId"]})


def _detach(account: Account, is_: Mapping[str, Any]) -> None:
    found = account.call("ec2", "describe_internet_gateways", {"InternetGatewayIds": [is_["id"]]})
    for attachment in found["InternetGateways"][0].get("Attachments", []):
        request = {"InternetGatewayId": is_["id"], "VpcId": attachment["VpcId"]}
        account.call("ec2", "detach_internet_gateway", request)


_ENDPOINT_LISTS: Final = {
    "routeTableIds": ("AddRouteTableIds", "RemoveRouteTableIds"),
    "subnetIds": ("AddSubnetIds", "RemoveSubnetIds"),
    "securityGroupIds": ("AddSecurityGroupIds", "RemoveSecurityGroupIds"),
}


def _change_endpoint(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    request: dict[str, Any] = {"VpcEndpointId": is_["id"]}
    for name, (add, remove) in _ENDPOINT_LISTS.items():
        before, after = set(is_.get(name, [])), set(wanted.get(name, []))
        if name in wanted and after - before:
            request[add] = sorted(after - before)
        if name in wanted and before - after:
            request[remove] = sorted(before - after)
    account.call("ec2", "modify_vpc_endpoint", request)


def _prefix_list(account: Account, _: Mapping[str, Any], found: dict[str, Any]) -> None:
    """A gateway endpoint's routes name the service's prefix list."""
    if found.get("vpcEndpointType") != "Gateway":
        return
    wanted = {"Filters": [{"Name": "prefix-list-name", "Values": [found["serviceName"]]}]}
    for each in account.call("ec2", "describe_prefix_lists", wanted)["PrefixLists"]:
        found["prefixListId"], found["cidrBlocks"] = each["PrefixListId"], each.get("Cidrs", [])


RESOURCES: Final = (
    Translation(
        token="aws:ec2/vpc:Vpc",
        service="ec2",
        id="answer:Vpc.VpcId",
        create=Operation(call="create_vpc", takes="cidrBlock instanceTenancy"),
        made=Wait(waiter="vpc_available", keys={"VpcIds": ["{id}"]}),
        read=Operation(call="describe_vpcs", keys={"VpcIds": ["{id}"]}, answer="Vpcs[0]"),
        more=(
            _vpc_attribute("enableDnsHostnames"),
            _vpc_attribute("enableDnsSupport"),
            Operation(
                call="describe_security_groups",
                keys={
                    "Filters": [{"Name": "vpc-id", "Values": ["{id}"]}, {"Name": "group-name", "Values": ["default"]}]
                },
                gives={"defaultSecurityGroupId": "SecurityGroups[0].GroupId"},
            ),
            Operation(
                call="describe_route_tables",
                keys={
                    "Filters": [
                        {"Name": "vpc-id", "Values": ["{id}"]},
                        {"Name": "association.main", "Values": ["true"]},
                    ],
                },
                gives={"mainRouteTableId": "RouteTables[0].RouteTableId"},
            ),
        ),
        updates=(
            # One attribute a call: the API refuses two.
            Operation(call="modify_vpc_attribute", takes="enableDnsSupport", keys={"VpcId": "{id}"}),
            Operation(call="modify_vpc_attribute", takes="enableDnsHostnames", keys={"VpcId": "{id}"}),
        ),
        delete=Operation(call="delete_vpc", keys={"VpcId": "{id}"}),
        names={"enableDnsHostnames": "EnableDnsHostnames.Value", "enableDnsSupport": "EnableDnsSupport.Value"},
        computed={"arn": f"{_ARN}:vpc/{{id}}"},
    ),
    Translation(
        token="aws:ec2/subnet:Subnet",
        service="ec2",
        id="answer:Subnet.SubnetId",
        create=Operation(call="create_subnet", takes="vpcId cidrBlock availabilityZone"),
        made=Wait(waiter="subnet_available", keys={"SubnetIds": ["{id}"]}),
        read=Operation(call="describe_subnets", keys={"SubnetIds": ["{id}"]}, answer="Subnets[0]"),
        updates=(Operation(call="modify_subnet_attribute", takes="mapPublicIpOnLaunch", keys={"SubnetId": "{id}"}),),
        delete=Operation(call="delete_subnet", keys={"SubnetId": "{id}"}),
        names={"mapPublicIpOnLaunch": "MapPublicIpOnLaunch.Value", "arn": "SubnetArn"},
        computed={"arn": f"{_ARN}:subnet/{{id}}"},
    ),
    Translation(
        token="aws:ec2/internetGateway:InternetGateway",
        service="ec2",
        id="answer:InternetGateway.InternetGatewayId",
        create=Operation(call="create_internet_gateway"),
        read=Operation(
            call="describe_internet_gateways",
            keys={"InternetGatewayIds": ["{id}"]},
            answer="InternetGateways[0]",
            gives={"vpcId": "Attachments[0].VpcId"},
        ),
        updates=(Step(takes="vpcId", run=_attach),),
        before_delete=_detach,
        delete=Operation(call="delete_internet_gateway", keys={"InternetGatewayId": "{id}"}),
        computed={"arn": f"{_ARN}:internet-gateway/{{id}}"},
    ),
    Translation(
        token="aws:ec2/routeTable:RouteTable",
        service="ec2",
        id="answer:RouteTable.RouteTableId",
        create=Operation(call="create_route_table", takes="vpcId"),
        read=Operation(
            call="describe_route_tables",
            keys={"RouteTableIds": ["{id}"]},
            answer="RouteTables[0]",
            gives={"routes": "Routes[?Origin=='CreateRoute' && GatewayId!=null && !starts_with(GatewayId, 'vpce-')]"},
        ),
        names={"routes.cidrBlock": "DestinationCidrBlock"},
        delete=Operation(call="delete_route_table", keys={"RouteTableId": "{id}"}),
        computed={"arn": f"{_ARN}:route-table/{{id}}"},
    ),
    Translation(
        token="aws:ec2/route:Route",
        service="ec2",
        id="{routeTableId}_{destinationCidrBlock}",
        create=Operation(call="create_route", takes="routeTableId destinationCidrBlock gatewayId natGatewayId"),
        read=Operation(
            call="describe_route_tables",
            keys={"RouteTableIds": ["{routeTableId}"]},
            answer="RouteTables[0].Routes[?DestinationCidrBlock=='$destinationCidrBlock'] | [0]",
        ),
        updates=(
            Operation(
                call="replace_route",
                takes="gatewayId natGatewayId",
                keys={"RouteTableId": "{routeTableId}", "DestinationCidrBlock": "{destinationCidrBlock}"},
            ),
        ),
        delete=Operation(
            call="delete_route",
            keys={"RouteTableId": "{routeTableId}", "DestinationCidrBlock": "{destinationCidrBlock}"},
        ),
        computed={"routeTableId": "{routeTableId}"},
    ),
    Translation(
        token="aws:ec2/routeTableAssociation:RouteTableAssociation",
        service="ec2",
        id="answer:AssociationId",
        create=Operation(call="associate_route_table", takes="routeTableId subnetId gatewayId"),
        read=Operation(
            call="describe_route_tables",
            keys={"Filters": [{"Name": "association.route-table-association-id", "Values": ["{id}"]}]},
            answer="RouteTables[0].Associations[?RouteTableAssociationId=='$id'] | [0]",
        ),
        # replace_route_table_association gives another id, which an update of Pulumi cannot take.
        delete=Operation(call="disassociate_route_table", keys={"AssociationId": "{id}"}),
    ),
    Translation(
        token="aws:ec2/eip:Eip",
        service="ec2",
        id="answer:AllocationId",
        create=Operation(call="allocate_address", takes="domain"),
        read=Operation(call="describe_addresses", keys={"AllocationIds": ["{id}"]}, answer="Addresses[0]"),
        delete=Operation(call="release_address", keys={"AllocationId": "{id}"}),
        computed={"arn": f"{_ARN}:elastic-ip/{{id}}"},
    ),
    Translation(
        token="aws:ec2/natGateway:NatGateway",
        service="ec2",
        id="answer:NatGateway.NatGatewayId",
        create=Operation(call="create_nat_gateway", takes="allocationId subnetId connectivityType"),
        made=Wait(waiter="nat_gateway_available", keys={"NatGatewayIds": ["{id}"]}),
        read=Operation(
            call="describe_nat_gateways",
            keys={"NatGatewayIds": ["{id}"]},
            answer="NatGateways[?State!='deleted'] | [0]",
            gives={
                "allocationId": "NatGatewayAddresses[0].AllocationId",
                "publicIp": "NatGatewayAddresses[0].PublicIp",
                "privateIp": "NatGatewayAddresses[0].PrivateIp",
            },
        ),
        delete=Operation(call="delete_nat_gateway", keys={"NatGatewayId": "{id}"}),
        ended=Wait(waiter="nat_gateway_deleted", keys={"NatGatewayIds": ["{id}"]}),
    ),
    Translation(
        token="aws:ec2/vpcEndpoint:VpcEndpoint",
        service="ec2",
        id="answer:VpcEndpoint.VpcEndpointId",
        create=Operation(
            call="create_vpc_endpoint",
            takes="vpcId serviceName vpcEndpointType routeTableIds subnetIds securityGroupIds privateDnsEnabled",
        ),
        read=Operation(
            call="describe_vpc_endpoints",
            keys={"VpcEndpointIds": ["{id}"]},
            answer="VpcEndpoints[?State!='deleted'] | [0]",
            gives={"securityGroupIds": "Groups[].GroupId"},
        ),
        after_read=_prefix_list,
        updates=(Step(takes="routeTableIds subnetIds securityGroupIds", run=_change_endpoint),),
        delete=Operation(call="delete_vpc_endpoints", keys={"VpcEndpointIds": ["{id}"]}),
        unordered=frozenset({"routeTableIds", "subnetIds", "securityGroupIds"}),
        computed={"arn": f"{_ARN}:vpc-endpoint/{{id}}"},
    ),
)
