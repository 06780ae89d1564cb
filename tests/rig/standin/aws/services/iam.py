"""Roles, the policies inside them, and those that are attached to them."""

from __future__ import annotations

from typing import Final

from tests.rig.standin.aws.resource import Operation, Translation

RESOURCES: Final = (
    Translation(
        token="aws:iam/role:Role",
        service="iam",
        id="{name}",
        create=Operation(
            call="create_role", takes="name assumeRolePolicy permissionsBoundary description maxSessionDuration path"
        ),
        read=Operation(
            call="get_role",
            keys={"RoleName": "{name}"},
            answer="Role",
            gives={"permissionsBoundary": "PermissionsBoundary.PermissionsBoundaryArn"},
        ),
        updates=(
            Operation(call="update_assume_role_policy", takes="assumeRolePolicy", keys={"RoleName": "{name}"}),
            Operation(call="put_role_permissions_boundary", takes="permissionsBoundary", keys={"RoleName": "{name}"}),
            Operation(call="update_role", takes="description maxSessionDuration", keys={"RoleName": "{name}"}),
        ),
        delete=Operation(call="delete_role", keys={"RoleName": "{name}"}),
        names={"name": "RoleName", "assumeRolePolicy": "AssumeRolePolicyDocument", "uniqueId": "RoleId"},
        named="name",
        documents=frozenset({"assumeRolePolicy"}),
    ),
    Translation(
        token="aws:iam/rolePolicy:RolePolicy",
        service="iam",
        id="{role}:{name}",
        create=Operation(call="put_role_policy", takes="role name policy"),
        read=Operation(call="get_role_policy", keys={"RoleName": "{role}", "PolicyName": "{name}"}),
        updates=(
            Operation(call="put_role_policy", takes="policy", keys={"RoleName": "{role}", "PolicyName": "{name}"}),
        ),
        delete=Operation(call="delete_role_policy", keys={"RoleName": "{role}", "PolicyName": "{name}"}),
        names={"role": "RoleName", "name": "PolicyName", "policy": "PolicyDocument"},
        named="name",
        documents=frozenset({"policy"}),
    ),
    Translation(
        token="aws:iam/rolePolicyAttachment:RolePolicyAttachment",
        service="iam",
        id="{role}/{policyArn}",
        create=Operation(call="attach_role_policy", takes="role policyArn"),
        read=Operation(
            call="list_attached_role_policies",
            keys={"RoleName": "{role}"},
            answer="AttachedPolicies[?PolicyArn=='$policyArn'] | [0]",
        ),
        delete=Operation(call="detach_role_policy", keys={"RoleName": "{role}", "PolicyArn": "{policyArn}"}),
        names={"role": "RoleName"},
        computed={"role": "{role}"},
    ),
)
