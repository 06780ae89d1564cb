"""Secrets and their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Translation

if TYPE_CHECKING:
    from collections.abc import Mapping


def _deletion(scope: Mapping[str, Any]) -> dict[str, Any]:
    days = scope.get("recoveryWindowInDays")
    if days == 0:
        return {"ForceDeleteWithoutRecovery": True}
    return {} if days is None else {"RecoveryWindowInDays": days}


RESOURCES: Final = (
    Translation(
        token="aws:secretsmanager/secret:Secret",
        service="secretsmanager",
        id="answer:ARN",
        create=Operation(call="create_secret", takes="name description kmsKeyId"),
        read=Operation(call="describe_secret", keys={"SecretId": "{id}"}, answer="[@][?DeletedDate==null] | [0]"),
        updates=(Operation(call="update_secret", takes="description kmsKeyId", keys={"SecretId": "{id}"}),),
        delete=Operation(call="delete_secret", keys={"SecretId": "{id}"}),
        delete_with=_deletion,
        named="name",
        kept=frozenset({"recoveryWindowInDays"}),
    ),
    Translation(
        token="aws:secretsmanager/secretVersion:SecretVersion",
        service="secretsmanager",
        id="answer:join('|', [ARN, VersionId])",
        parts="{secretId}|{versionId}",
        create=Operation(call="put_secret_value", takes="secretId secretString"),
        read=Operation(
            call="get_secret_value",
            keys={"SecretId": "{secretId}", "VersionId": "{versionId}"},
            gives={"secretString": "SecretString"},
        ),
        # A version is never written over: another value is another version. The secret itself is not deleted with it.
        delete=None,
        computed={"secretId": "{secretId}"},
    ),
)
