"""The functions of the SDK that programs call: about the account, the region and its zones, and a cluster of EKS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.rig.standin.base import Gone, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.standin.aws.account import Account
    from tests.rig.standin.sdk import FunctionType


def answer(account: Account, declared: FunctionType, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a function. Raises Refused for one, or an argument, that is not translated."""
    if declared.token not in _FUNCTIONS:
        raise Refused(f"{declared.token}: the stand-in does not translate this function yet")
    function, takes = _FUNCTIONS[declared.token]
    beyond = sorted(set(arguments) - takes - {"region"})
    if beyond or arguments.get("region", account.region) != account.region:
        raise Refused(f"{declared.token}: the stand-in does not translate {', '.join(beyond) or 'another region'} yet")
    found = function(account, arguments)
    return {name: value for name, value in found.items() if name in declared.results}


def _availability_zones(account: Account, arguments: Mapping[str, Any]) -> dict[str, Any]:
    filters = [{"Name": each["name"], "Values": each["values"]} for each in arguments.get("filters", [])]
    if "state" in arguments:
        filters.append({"Name": "state", "Values": [arguments["state"]]})
    request: dict[str, Any] = {"Filters": filters} if filters else {}
    zones = account.call("ec2", "describe_availability_zones", request)["AvailabilityZones"]
    zones.sort(key=lambda zone: str(zone["ZoneName"]))
    return {
        **arguments,
        "id": account.region,
        "region": account.region,
        "names": [zone["ZoneName"] for zone in zones],
        "zoneIds": [zone["ZoneId"] for zone in zones],
        "groupNames": sorted({zone.get("GroupName", account.region) for zone in zones}),
    }


def _caller_identity(account: Account, arguments: Mapping[str, Any]) -> dict[str, Any]:
    found = account.call("sts", "get_caller_identity", {})
    return {"id": found["Account"], "accountId": found["Account"], "arn": found["Arn"], "userId": found["UserId"]}


def _region(account: Account, arguments: Mapping[str, Any]) -> dict[str, Any]:
    request = {"RegionNames": [account.region]}
    found = account.call("ec2", "describe_regions", request)["Regions"][0]
    return {"id": account.region, "name": account.region, "region": account.region, "endpoint": found["Endpoint"]}


def _partition(account: Account, arguments: Mapping[str, Any]) -> dict[str, Any]:
    suffix = "amazonaws.com.cn" if account.partition == "aws-cn" else "amazonaws.com"
    return {
        "id": account.partition,
        "partition": account.partition,
        "dnsSuffix": suffix,
        "reverseDnsPrefix": ".".join(reversed(suffix.split("."))),
    }


def _eks_cluster(account: Account, arguments: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found = account.call("eks", "describe_cluster", {"name": arguments["name"]})["cluster"]
    except Gone as gone:
        raise Refused(str(gone)) from None
    return {
        **found,
        "id": found["name"],
        "certificateAuthorities": [found["certificateAuthority"]],
        "vpcConfig": found["resourcesVpcConfig"],
    }


_FUNCTIONS: Mapping[str, tuple[Callable[[Account, Mapping[str, Any]], dict[str, Any]], set[str]]] = {
    "aws:eks/getCluster:getCluster": (_eks_cluster, {"name"}),
    "aws:index/getAvailabilityZones:getAvailabilityZones": (_availability_zones, {"filters", "state"}),
    "aws:index/getCallerIdentity:getCallerIdentity": (_caller_identity, set()),
    "aws:index/getRegion:getRegion": (_region, set()),
    "aws:index/getPartition:getPartition": (_partition, set()),
}
