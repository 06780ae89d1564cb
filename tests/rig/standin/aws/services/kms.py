"""Keys and their aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account


def _rotate(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    call = "enable_key_rotation" if wanted.get("enableKeyRotation") else "disable_key_rotation"
    account.call("kms", call, {"KeyId": is_["id"]})


RESOURCES: Final = (
    Translation(
        token="aws:kms/key:Key",
        service="kms",
        id="answer:KeyMetadata.KeyId",
        create=Operation(call="create_key", takes="description policy"),
        read=Operation(
            call="describe_key",
            keys={"KeyId": "{id}"},
            # A key that waits for its deletion is gone for whoever would use it.
            answer="[KeyMetadata][?KeyState!='PendingDeletion'] | [0]",
            gives={"isEnabled": "Enabled"},
        ),
        more=(
            Operation(call="get_key_rotation_status", keys={"KeyId": "{id}"},
                      gives={"enableKeyRotation": "KeyRotationEnabled"}),
            Operation(call="get_key_policy", keys={"KeyId": "{id}", "PolicyName": "default"},
                      gives={"policy": "Policy"}),
        ),
        updates=(
            Step(takes="enableKeyRotation", run=_rotate),
            Operation(call="put_key_policy", takes="policy", keys={"KeyId": "{id}", "PolicyName": "default"}),
            Operation(call="update_key_description", takes="description", keys={"KeyId": "{id}"}),
        ),
        delete=Operation(call="schedule_key_deletion", keys={"KeyId": "{id}"}),
        delete_with=lambda scope: (
            {"PendingWindowInDays": scope["deletionWindowInDays"]} if "deletionWindowInDays" in scope else {}
        ),
        documents=frozenset({"policy"}),
        kept=frozenset({"deletionWindowInDays"}),
    ),
    Translation(
        token="aws:kms/alias:Alias",
        service="kms",
        id="{name}",
        create=Operation(call="create_alias", takes="name targetKeyId"),
        read=Operation(call="list_aliases", answer="Aliases[?AliasName=='$name'] | [0]"),
        updates=(Operation(call="update_alias", takes="targetKeyId", keys={"AliasName": "{name}"}),),
        delete=Operation(call="delete_alias", keys={"AliasName": "{name}"}),
        names={"name": "AliasName", "arn": "AliasArn"},
        named="name",
    ),
)  # fmt: skip
