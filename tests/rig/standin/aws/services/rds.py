"""Postgres instances with their parameter and subnet groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account

_INSTANCE: Final = {"DBInstanceIdentifier": "{id}"}
_CREATED: Final = (
    "identifier engine engineVersion instanceClass allocatedStorage maxAllocatedStorage storageType storageEncrypted "
    "kmsKeyId dbName username manageMasterUserPassword masterUserSecretKmsKeyId port dbSubnetGroupName "
    "parameterGroupName vpcSecurityGroupIds multiAz publiclyAccessible backupRetentionPeriod copyTagsToSnapshot "
    "deletionProtection autoMinorVersionUpgrade"
)
# What modify_db_instance takes of that. The rest (engine, encryption, key, name of the database, master user) it has no
# member for.
_MODIFIED: Final = (
    "engineVersion instanceClass allocatedStorage maxAllocatedStorage storageType manageMasterUserPassword "
    "masterUserSecretKmsKeyId port dbSubnetGroupName parameterGroupName vpcSecurityGroupIds multiAz publiclyAccessible "
    "backupRetentionPeriod copyTagsToSnapshot deletionProtection autoMinorVersionUpgrade"
)


def _ending(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return how an instance ends; the real provider wants a snapshot's name unless it is configured to skip it."""
    if scope.get("skipFinalSnapshot"):
        how: dict[str, Any] = {"SkipFinalSnapshot": True}
    else:
        how = {"SkipFinalSnapshot": False, "FinalDBSnapshotIdentifier": scope["finalSnapshotIdentifier"]}
    return how | {"DeleteAutomatedBackups": scope.get("deleteAutomatedBackups", True)}


def _set_parameters(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    parameters = [
        {
            "ParameterName": each["name"],
            "ParameterValue": each["value"],
            "ApplyMethod": each.get("applyMethod", "immediate"),
        }
        for each in wanted.get("parameters", [])
    ]
    kept = {each["ParameterName"] for each in parameters}
    ended = [each for each in is_.get("parameters", []) if each["name"] not in kept]
    if ended and "arn" in is_:
        gone = [{"ParameterName": each["name"], "ApplyMethod": "pending-reboot"} for each in ended]
        account.call("rds", "reset_db_parameter_group", {"DBParameterGroupName": is_["id"], "Parameters": gone})
    if parameters:
        request = {"DBParameterGroupName": is_["id"], "Parameters": parameters}
        account.call("rds", "modify_db_parameter_group", request)


RESOURCES: Final = (
    Translation(
        token="aws:rds/instance:Instance",
        service="rds",
        id="answer:DBInstance.DBInstanceIdentifier",
        create=Operation(call="create_db_instance", takes=_CREATED),
        made=Wait(waiter="db_instance_available", keys=_INSTANCE),
        read=Operation(
            call="describe_db_instances",
            keys=_INSTANCE,
            answer="DBInstances[0]",
            gives={
                "address": "Endpoint.Address",
                "endpoint": "join(':', [Endpoint.Address, to_string(Endpoint.Port)])",
                "hostedZoneId": "Endpoint.HostedZoneId",
                "port": "Endpoint.Port",
                "dbSubnetGroupName": "DBSubnetGroup.DBSubnetGroupName",
                "parameterGroupName": "DBParameterGroups[0].DBParameterGroupName",
                "vpcSecurityGroupIds": "VpcSecurityGroups[].VpcSecurityGroupId",
                "masterUserSecrets": "MasterUserSecret && [MasterUserSecret]",
                "masterUserSecretKmsKeyId": "MasterUserSecret.KmsKeyId",
                # Told by the secret that there is.
                "manageMasterUserPassword": "MasterUserSecret && `true`",
            },
        ),
        updates=(
            Operation(
                call="modify_db_instance", takes=_MODIFIED, keys={**_INSTANCE, "ApplyImmediately": True}, whole=False
            ),
        ),
        changed=Wait(waiter="db_instance_available", keys=_INSTANCE),
        delete=Operation(call="delete_db_instance", keys=_INSTANCE),
        delete_with=_ending,
        ended=Wait(waiter="db_instance_deleted", keys=_INSTANCE),
        names={
            "identifier": "DBInstanceIdentifier",
            "instanceClass": "DBInstanceClass",
            "username": "MasterUsername",
            "parameterGroupName": "DBParameterGroupName",
            "arn": "DBInstanceArn",
            "resourceId": "DbiResourceId",
            "status": "DBInstanceStatus",
            "port": "Port",
        },
        unordered=frozenset({"vpcSecurityGroupIds"}),
        kept=frozenset({"applyImmediately", "skipFinalSnapshot", "finalSnapshotIdentifier", "deleteAutomatedBackups"}),
        named="identifier",
    ),
    Translation(
        token="aws:rds/parameterGroup:ParameterGroup",
        service="rds",
        id="{name}",
        create=Operation(call="create_db_parameter_group", takes="name family description"),
        read=Operation(
            call="describe_db_parameter_groups", keys={"DBParameterGroupName": "{name}"}, answer="DBParameterGroups[0]"
        ),
        more=(
            Operation(
                call="describe_db_parameters",
                keys={"DBParameterGroupName": "{name}", "Source": "user"},
                gives={"parameters": "Parameters"},
            ),
        ),
        updates=(Step(takes="parameters", run=_set_parameters),),
        delete=Operation(call="delete_db_parameter_group", keys={"DBParameterGroupName": "{name}"}),
        names={
            "name": "DBParameterGroupName",
            "family": "DBParameterGroupFamily",
            "arn": "DBParameterGroupArn",
            "parameters.name": "ParameterName",
            "parameters.value": "ParameterValue",
        },
        unordered=frozenset({"parameters"}),
        named="name",
    ),
    Translation(
        token="aws:rds/subnetGroup:SubnetGroup",
        service="rds",
        id="{name}",
        create=Operation(call="create_db_subnet_group", takes="name description subnetIds"),
        read=Operation(
            call="describe_db_subnet_groups",
            keys={"DBSubnetGroupName": "{name}"},
            answer="DBSubnetGroups[0]",
            gives={"subnetIds": "Subnets[].SubnetIdentifier"},
        ),
        updates=(
            Operation(
                call="modify_db_subnet_group", takes="description subnetIds", keys={"DBSubnetGroupName": "{name}"}
            ),
        ),
        delete=Operation(call="delete_db_subnet_group", keys={"DBSubnetGroupName": "{name}"}),
        names={
            "name": "DBSubnetGroupName",
            "description": "DBSubnetGroupDescription",
            "arn": "DBSubnetGroupArn",
        },
        unordered=frozenset({"subnetIds"}),
        named="name",
    ),
)
