"""S3's block of public policies: moto stores a policy that lets everybody in although the bucket forbids it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import S3Backend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.patches import Patches

# Conditions that confine a policy to fixed values, so that S3 does not call it public ('The meaning of "public"').
_CONFINING = {
    "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:userid", "aws:sourceaccount", "aws:principalorgid",
    "aws:principalarn", "aws:principalaccount", "aws:sourceowner", "s3:dataaccesspointarn",
}  # fmt: skip


def install(patches: Patches) -> None:
    """Refuse public policies where the bucket blocks them."""

    def put(self: S3Backend, bucket_name: str, policy: bytes) -> None:
        blocked = self.get_bucket(bucket_name).public_access_block
        if blocked is not None and _true(blocked.block_public_policy) and is_public(json.loads(policy)):
            raise _Denied
        before(self, bucket_name, policy)

    before = patches.put(S3Backend, "put_bucket_policy", put)


class _Denied(S3ClientError):
    code = 403

    def __init__(self) -> None:
        super().__init__("AccessDenied", "User is not authorized: public policies are blocked by BlockPublicPolicy")


def is_public(document: Mapping[str, Any]) -> bool:
    """Tell whether a policy grants anything to everybody."""
    statements = document["Statement"]
    statements = statements if isinstance(statements, list) else [statements]
    return any(each["Effect"] == "Allow" and _everybody(each) and not _confined(each) for each in statements)


def _everybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal", {})
    named = principal if isinstance(principal, str) else principal.get("AWS", [])
    return "*" in (named if isinstance(named, list) else [named])


def _confined(statement: Mapping[str, Any]) -> bool:
    keys = {key.lower() for wanted in statement.get("Condition", {}).values() for key in wanted}
    return bool(keys & _CONFINING)


def _true(value: object) -> bool:
    return str(value).lower() == "true"
