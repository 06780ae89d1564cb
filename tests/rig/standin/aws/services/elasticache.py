"""Replication groups with their parameter and subnet groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account

_GROUP: Final = {"ReplicationGroupId": "{id}"}


def _set_parameters(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    name = {"CacheParameterGroupName": is_["id"]}
    parameters = [
        {"ParameterName": each["name"], "ParameterValue": each["value"]} for each in wanted.get("parameters", [])
    ]
    kept = {each["ParameterName"] for each in parameters}
    ended = [
        {"ParameterName": each["name"], "ParameterValue": each["value"]}
        for each in is_.get("parameters", [])
        if each["name"] not in kept and "arn" in is_
    ]
    if ended:
        account.call("elasticache", "reset_cache_parameter_group", {**name, "ParameterNameValues": ended})
    if parameters:
        account.call("elasticache", "modify_cache_parameter_group", {**name, "ParameterNameValues": parameters})


def _set_token(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    request = {"ReplicationGroupId": is_["id"], "AuthToken": wanted["authToken"], "ApplyImmediately": True}
    account.call("elasticache", "modify_replication_group", {**request, "AuthTokenUpdateStrategy": "ROTATE"})


def _of_a_member(account: Account, _: Mapping[str, Any], found: dict[str, Any]) -> None:
    """What the group's description leaves out, and the real provider takes from its first cluster."""
    members = found.get("memberClusters") or []
    if not members:
        return
    request = {"CacheClusterId": min(members)}
    first = account.call("elasticache", "describe_cache_clusters", request)["CacheClusters"][0]
    found["engineVersion"] = first.get("EngineVersion")
    found["subnetGroupName"] = first.get("CacheSubnetGroupName")
    found["parameterGroupName"] = first.get("CacheParameterGroup", {}).get("CacheParameterGroupName")
    found["securityGroupIds"] = [each["SecurityGroupId"] for each in first.get("SecurityGroups", [])]


RESOURCES: Final = (
    Translation(
        token="aws:elasticache/replicationGroup:ReplicationGroup",
        service="elasticache",
        id="{replicationGroupId}",
        create=Operation(
            call="create_replication_group",
            takes="replicationGroupId description engine engineVersion nodeType numCacheClusters "
            "automaticFailoverEnabled multiAzEnabled port parameterGroupName subnetGroupName securityGroupIds "
            "transitEncryptionEnabled authToken atRestEncryptionEnabled kmsKeyId snapshotRetentionLimit "
            "autoMinorVersionUpgrade",
        ),
        made=Wait(waiter="replication_group_available", keys=_GROUP),
        read=Operation(
            call="describe_replication_groups",
            keys=_GROUP,
            answer="ReplicationGroups[0]",
            gives={
                "description": "Description",
                "automaticFailoverEnabled": "AutomaticFailover == 'enabled' || AutomaticFailover == 'enabling'",
                "multiAzEnabled": "MultiAZ == 'enabled'",
                "numCacheClusters": "length(MemberClusters)",
                "primaryEndpointAddress": "NodeGroups[0].PrimaryEndpoint.Address",
                "readerEndpointAddress": "NodeGroups[0].ReaderEndpoint.Address",
                "port": "NodeGroups[0].PrimaryEndpoint.Port",
            },
        ),
        after_read=_of_a_member,
        updates=(
            Operation(
                call="modify_replication_group",
                takes="description engineVersion nodeType automaticFailoverEnabled multiAzEnabled parameterGroupName "
                "securityGroupIds snapshotRetentionLimit autoMinorVersionUpgrade",
                keys={**_GROUP, "ApplyImmediately": True},
                whole=False,
            ),
            Step(takes="authToken", run=_set_token),
        ),
        changed=Wait(waiter="replication_group_available", keys=_GROUP),
        delete=Operation(call="delete_replication_group", keys=_GROUP),
        ended=Wait(waiter="replication_group_deleted", keys=_GROUP),
        names={
            "description": "ReplicationGroupDescription",
            "nodeType": "CacheNodeType",
            "parameterGroupName": "CacheParameterGroupName",
            "subnetGroupName": "CacheSubnetGroupName",
        },
        unordered=frozenset({"securityGroupIds"}),
        kept=frozenset({"applyImmediately", "authTokenUpdateStrategy"}),
        unread=frozenset({"authToken", "autoMinorVersionUpgrade"}),
        named="replicationGroupId",
    ),
    Translation(
        token="aws:elasticache/parameterGroup:ParameterGroup",
        service="elasticache",
        id="{name}",
        create=Operation(call="create_cache_parameter_group", takes="name family description"),
        read=Operation(
            call="describe_cache_parameter_groups",
            keys={"CacheParameterGroupName": "{name}"},
            answer="CacheParameterGroups[0]",
        ),
        more=(
            Operation(
                call="describe_cache_parameters",
                keys={"CacheParameterGroupName": "{name}", "Source": "user"},
                gives={"parameters": "Parameters"},
            ),
        ),
        updates=(Step(takes="parameters", run=_set_parameters),),
        delete=Operation(call="delete_cache_parameter_group", keys={"CacheParameterGroupName": "{name}"}),
        names={
            "name": "CacheParameterGroupName",
            "family": "CacheParameterGroupFamily",
            "parameters.name": "ParameterName",
            "parameters.value": "ParameterValue",
        },
        unordered=frozenset({"parameters"}),
        named="name",
    ),
    Translation(
        token="aws:elasticache/subnetGroup:SubnetGroup",
        service="elasticache",
        id="{name}",
        create=Operation(call="create_cache_subnet_group", takes="name description subnetIds"),
        read=Operation(
            call="describe_cache_subnet_groups",
            keys={"CacheSubnetGroupName": "{name}"},
            answer="CacheSubnetGroups[0]",
            gives={"subnetIds": "Subnets[].SubnetIdentifier"},
        ),
        updates=(
            Operation(
                call="modify_cache_subnet_group",
                takes="description subnetIds",
                keys={"CacheSubnetGroupName": "{name}"},
            ),
        ),
        delete=Operation(call="delete_cache_subnet_group", keys={"CacheSubnetGroupName": "{name}"}),
        names={
            "name": "CacheSubnetGroupName",
            "description": "CacheSubnetGroupDescription",
        },
        unordered=frozenset({"subnetIds"}),
        named="name",
    ),
)
