"""Clusters, their node groups and add-ons, who administers them, and the identities of their pods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Translation, Wait

if TYPE_CHECKING:
    from collections.abc import Mapping

_CLUSTER: Final = {"name": "{name}"}
_NODES: Final = {"clusterName": "{clusterName}", "nodegroupName": "{nodeGroupName}"}
_ADDON: Final = {"clusterName": "{clusterName}", "addonName": "{addonName}"}
_ENTRY: Final = {"clusterName": "{clusterName}", "principalArn": "{principalArn}"}


def _logging(types: list[str]) -> dict[str, Any]:
    return {"clusterLogging": [{"types": types, "enabled": True}]}


def _new_addon(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return _addon(wanted, "addonVersion", "configurationValues", "podIdentityAssociations", moment="Create")


def _changed_addon(wanted: Mapping[str, Any]) -> dict[str, Any]:
    return _addon(wanted, "addonVersion", "configurationValues", moment="Update")


def _addon(wanted: Mapping[str, Any], *names: str, moment: str) -> dict[str, Any]:
    sent = {name: wanted[name] for name in names if name in wanted}
    conflicts = wanted.get(f"resolveConflictsOn{moment}")
    return {**sent, **({"resolveConflicts": conflicts} if conflicts else {})}


RESOURCES: Final = (
    Translation(
        token="aws:eks/cluster:Cluster",
        service="eks",
        id="{name}",
        create=Operation(
            call="create_cluster",
            takes="name version roleArn accessConfig bootstrapSelfManagedAddons enabledClusterLogTypes "
            "encryptionConfig vpcConfig",
        ),
        made=Wait(waiter="cluster_active", keys=_CLUSTER),
        read=Operation(
            call="describe_cluster",
            keys=_CLUSTER,
            answer="cluster",
            gives={
                "enabledClusterLogTypes": "logging.clusterLogging[?enabled].types | []",
                "encryptionConfig": "encryptionConfig[0]",
            },
        ),
        updates=(
            Operation(call="update_cluster_version", takes="version", keys=_CLUSTER),
            Operation(call="update_cluster_config", takes="vpcConfig", keys=_CLUSTER, whole=False),
        ),
        changed=Wait(waiter="cluster_active", keys=_CLUSTER),
        delete=Operation(call="delete_cluster", keys=_CLUSTER),
        ended=Wait(waiter="cluster_deleted", keys=_CLUSTER),
        names={"enabledClusterLogTypes": "logging", "vpcConfig": "resourcesVpcConfig"},
        outward={"enabledClusterLogTypes": _logging, "encryptionConfig": lambda each: [each]},
        unordered=frozenset({"enabledClusterLogTypes"}),
        # EKS has it of a cluster's first moment only.
        unread=frozenset({"bootstrapSelfManagedAddons"}),
        named="name",
    ),
    Translation(
        token="aws:eks/nodeGroup:NodeGroup",
        service="eks",
        id="{clusterName}:{nodeGroupName}",
        create=Operation(
            call="create_nodegroup",
            takes="clusterName nodeGroupName nodeRoleArn subnetIds amiType instanceTypes version scalingConfig "
            "updateConfig launchTemplate",
        ),
        made=Wait(waiter="nodegroup_active", keys=_NODES),
        read=Operation(call="describe_nodegroup", keys=_NODES, answer="nodegroup"),
        updates=(
            Operation(call="update_nodegroup_version", takes="version launchTemplate", keys=_NODES),
            Operation(call="update_nodegroup_config", takes="scalingConfig updateConfig", keys=_NODES),
        ),
        changed=Wait(waiter="nodegroup_active", keys=_NODES),
        delete=Operation(call="delete_nodegroup", keys=_NODES),
        ended=Wait(waiter="nodegroup_deleted", keys=_NODES),
        names={"arn": "nodegroupArn", "nodeRoleArn": "nodeRole", "subnetIds": "subnets"},
        unordered=frozenset({"subnetIds"}),
        named="nodeGroupName",
    ),
    Translation(
        token="aws:eks/addon:Addon",
        service="eks",
        id="{clusterName}:{addonName}",
        create=Operation(
            call="create_addon",
            takes="clusterName addonName addonVersion configurationValues podIdentityAssociations "
            "resolveConflictsOnCreate resolveConflictsOnUpdate",
            keys=_ADDON,
            build=_new_addon,
        ),
        made=Wait(waiter="addon_active", keys=_ADDON),
        read=Operation(call="describe_addon", keys=_ADDON, answer="addon"),
        updates=(
            Operation(
                call="update_addon",
                takes="addonVersion configurationValues resolveConflictsOnUpdate",
                keys=_ADDON,
                build=_changed_addon,
            ),
        ),
        changed=Wait(waiter="addon_active", keys=_ADDON),
        delete=Operation(call="delete_addon", keys=_ADDON),
        ended=Wait(waiter="addon_deleted", keys=_ADDON),
        names={"arn": "addonArn"},
        kept=frozenset({"resolveConflictsOnCreate", "resolveConflictsOnUpdate"}),
        unread=frozenset({"podIdentityAssociations"}),
    ),
    Translation(
        token="aws:eks/accessEntry:AccessEntry",
        service="eks",
        id="{clusterName}:{principalArn}",
        create=Operation(call="create_access_entry", takes="clusterName principalArn"),
        read=Operation(call="describe_access_entry", keys=_ENTRY, answer="accessEntry"),
        delete=Operation(call="delete_access_entry", keys=_ENTRY),
        computed={"arn": "{accessEntryArn}"},
    ),
    Translation(
        token="aws:eks/accessPolicyAssociation:AccessPolicyAssociation",
        service="eks",
        id="{clusterName}#{principalArn}#{policyArn}",
        create=Operation(call="associate_access_policy", takes="clusterName principalArn policyArn accessScope"),
        read=Operation(
            call="list_associated_access_policies",
            keys=_ENTRY,
            answer="associatedAccessPolicies[?policyArn=='$policyArn'] | [0]",
        ),
        delete=Operation(call="disassociate_access_policy", keys={**_ENTRY, "policyArn": "{policyArn}"}),
        computed={"clusterName": "{clusterName}", "principalArn": "{principalArn}"},
    ),
    Translation(
        token="aws:eks/podIdentityAssociation:PodIdentityAssociation",
        service="eks",
        id="answer:association.associationId",
        create=Operation(call="create_pod_identity_association", takes="clusterName namespace serviceAccount roleArn"),
        read=Operation(
            call="describe_pod_identity_association",
            keys={"clusterName": "{clusterName}", "associationId": "{id}"},
            answer="association",
        ),
        updates=(
            Operation(
                call="update_pod_identity_association",
                takes="roleArn",
                keys={"clusterName": "{clusterName}", "associationId": "{id}"},
            ),
        ),
        delete=Operation(
            call="delete_pod_identity_association", keys={"clusterName": "{clusterName}", "associationId": "{id}"}
        ),
        computed={"arn": "{associationArn}"},
    ),
)
