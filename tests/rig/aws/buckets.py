"""S3's buckets: public policies that one forbids, one for everybody beside the log delivery's, suspended versioning."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from moto.s3.exceptions import S3ClientError
from moto.s3.models import FakeBucket, S3Backend

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.patches import Patches

# Conditions that confine a policy to fixed values, so that S3 does not call it public ('The meaning of "public"').
_CONFINING = {
    "aws:sourcearn", "aws:sourcevpc", "aws:sourcevpce", "aws:userid", "aws:sourceaccount", "aws:principalorgid",
    "aws:principalarn", "aws:principalaccount", "aws:sourceowner", "s3:dataaccesspointarn",
}  # fmt: skip


def install(patches: Patches) -> None:
    """Refuse public policies where they are blocked; read those without a service; delete the version that is named."""

    def put(self: S3Backend, bucket_name: str, policy: bytes) -> None:
        blocked = self.get_bucket(bucket_name).public_access_block
        if blocked is not None and _true(blocked.block_public_policy) and is_public(json.loads(policy)):
            raise _Denied
        before(self, bucket_name, policy)

    def delivers(target_bucket: FakeBucket, target_prefix: str | None) -> bool:
        # moto takes every principal for a mapping, and fails at a policy that names everybody.
        document = json.loads(target_bucket.policy) if target_bucket.policy else {"Statement": []}
        kept = [each for each in _statements(document) if isinstance(each.get("Principal"), dict)]
        read = SimpleNamespace(
            policy=json.dumps({"Statement": kept}).encode(), name=target_bucket.name, partition=target_bucket.partition
        )
        return bool(before_delivers(read, target_prefix))

    def end(self: S3Backend, bucket_name: str, key_name: str, version_id: str | None = None, **named: Any) -> Any:
        # Without versioning moto deletes all that there is of a name, and fails at a delete marker.
        bucket = self.get_bucket(bucket_name)
        suspended = version_id is not None and bucket.versioning_status == "Suspended"
        if suspended:
            bucket.versioning_status = "Enabled"
        try:
            return before_end(self, bucket_name, key_name, version_id=version_id, **named)
        finally:
            if suspended:
                bucket.versioning_status = "Suspended"

    before_end = patches.put(S3Backend, "delete_object", end)
    before = patches.put(S3Backend, "put_bucket_policy", put)
    before_delivers = patches.put(FakeBucket, "_log_permissions_enabled_policy", staticmethod(delivers))


class _Denied(S3ClientError):
    def __init__(self) -> None:
        super().__init__("AccessDenied", "User is not authorized: public policies are blocked by BlockPublicPolicy")


def is_public(document: Mapping[str, Any]) -> bool:
    """Return whether a policy grants anything to everybody."""
    return any(each["Effect"] == "Allow" and _everybody(each) and not _confined(each) for each in _statements(document))


def _statements(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    held = document["Statement"]
    return held if isinstance(held, list) else [held]


def _everybody(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal", {})
    named = principal if isinstance(principal, str) else principal.get("AWS", [])
    return "*" in (named if isinstance(named, list) else [named])


def _confined(statement: Mapping[str, Any]) -> bool:
    keys = {key.lower() for wanted in statement.get("Condition", {}).values() for key in wanted}
    return bool(keys & _CONFINING)


def _true(value: object) -> bool:
    return str(value).lower() == "true"
