"""Buckets and what is said of them, each by a call of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Translation

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.standin.aws.account import Account

_BATCH: Final = 1000


def _empty(account: Account, scope: Mapping[str, Any]) -> None:
    """Delete every object with its versions, where the program asked for that."""
    if not scope.get("forceDestroy"):
        return
    bucket = scope["id"]
    while True:
        found = account.call("s3", "list_object_versions", {"Bucket": bucket, "MaxKeys": _BATCH})
        items = [
            {"Key": each["Key"], "VersionId": each["VersionId"]}
            for each in (*found.get("Versions", []), *found.get("DeleteMarkers", []))
        ]
        if not items:
            return
        account.call("s3", "delete_objects", {"Bucket": bucket, "Delete": {"Objects": items, "Quiet": True}})


def _location(_: Account, scope: Mapping[str, Any], found: dict[str, Any]) -> None:
    found["bucketRegionalDomainName"] = f"{found['bucket']}.s3.{found['region']}.amazonaws.com"


def _put(call: str, members: Mapping[str, Any]) -> Operation:
    return Operation(call=call, keys={"Bucket": "{bucket}", **members})


def _deleted(call: str) -> Operation:
    return _put(call, {})


def _made_in(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return where a bucket is made; us-east-1 is the one region that must not be said (S3, CreateBucket)."""
    if wanted["region"] == "us-east-1":
        return {"Bucket": wanted["bucket"]}
    return {"Bucket": wanted["bucket"], "CreateBucketConfiguration": {"LocationConstraint": wanted["region"]}}


def _part(
    kind: str,
    *,
    put: str,
    get: str,
    delete: Operation,
    takes: str,
    answer: str = "@",
    names: Mapping[str, str] | None = None,
    unordered: frozenset[str] = frozenset(),
    gives: Mapping[str, str] | None = None,
    outward: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Translation:
    """Return one thing that is said of a bucket: putting it anew is both its creation and its update."""
    word = kind[0].lower() + kind[1:]
    return Translation(
        token=f"aws:s3/{word}:{kind}",
        service="s3",
        id="{bucket}",
        create=Operation(call=put, takes=takes, keys={"Bucket": "{bucket}"}),
        read=Operation(call=get, keys={"Bucket": "{bucket}"}, answer=answer, gives=gives or {}),
        updates=(Operation(call=put, takes=takes, keys={"Bucket": "{bucket}"}),),
        delete=delete,
        names=names or {},
        outward=outward or {},
        unordered=unordered,
        documents=frozenset({"policy"}),
        computed={"bucket": "{bucket}"},
    )


_CLOSED: Final = "blockPublicAcls ignorePublicAcls blockPublicPolicy restrictPublicBuckets"

RESOURCES: Final = (
    Translation(
        token="aws:s3/bucket:Bucket",
        service="s3",
        id="{bucket}",
        create=Operation(
            call="create_bucket",
            takes="bucket",
            build=_made_in,
        ),
        read=Operation(call="head_bucket", keys={"Bucket": "{id}"}),
        after_read=_location,
        before_delete=_empty,
        delete=Operation(call="delete_bucket", keys={"Bucket": "{id}"}),
        named="bucket",
        kept=frozenset({"forceDestroy"}),
        computed={
            "bucket": "{id}",
            "arn": "arn:{partition}:s3:::{id}",
            "bucketDomainName": "{id}.s3.amazonaws.com",
        },
    ),
    _part(
        "BucketVersioning",
        put="put_bucket_versioning",
        get="get_bucket_versioning",
        # Versioning is never undone; the real provider suspends it.
        delete=_put("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Suspended"}}),
        takes="versioningConfiguration",
        gives={"versioningConfiguration": "{status: Status}"},
    ),
    _part(
        "BucketServerSideEncryptionConfiguration",
        put="put_bucket_encryption",
        get="get_bucket_encryption",
        delete=_deleted("delete_bucket_encryption"),
        takes="rules",
        answer="ServerSideEncryptionConfiguration",
        names={"rules": "ServerSideEncryptionConfiguration.Rules"},
        gives={"rules": "Rules"},
    ),
    _part(
        "BucketPublicAccessBlock",
        put="put_public_access_block",
        get="get_public_access_block",
        delete=_deleted("delete_public_access_block"),
        takes=_CLOSED,
        answer="PublicAccessBlockConfiguration",
        names={name: f"PublicAccessBlockConfiguration.{name}" for name in _CLOSED.split()},
        gives={name: name[0].upper() + name[1:] for name in _CLOSED.split()},
    ),
    _part(
        "BucketOwnershipControls",
        put="put_bucket_ownership_controls",
        get="get_bucket_ownership_controls",
        delete=_deleted("delete_bucket_ownership_controls"),
        takes="rule",
        answer="OwnershipControls",
        names={"rule": "OwnershipControls"},
        outward={"rule": lambda rule: {"rules": [rule]}},
        gives={"rule": "{objectOwnership: Rules[0].ObjectOwnership}"},
    ),
    _part(
        "BucketLifecycleConfiguration",
        put="put_bucket_lifecycle_configuration",
        get="get_bucket_lifecycle_configuration",
        delete=_deleted("delete_bucket_lifecycle"),
        takes="rules",
        names={"rules": "LifecycleConfiguration.Rules"},
        gives={"rules": "Rules"},
        unordered=frozenset({"rules"}),
    ),
    _part(
        "BucketPolicy",
        put="put_bucket_policy",
        get="get_bucket_policy",
        delete=_deleted("delete_bucket_policy"),
        takes="policy",
    ),
    _part(
        "BucketLogging",
        put="put_bucket_logging",
        get="get_bucket_logging",
        delete=_put("put_bucket_logging", {"BucketLoggingStatus": {}}),
        takes="targetBucket targetPrefix",
        answer="LoggingEnabled",
        names={
            "targetBucket": "BucketLoggingStatus.LoggingEnabled.TargetBucket",
            "targetPrefix": "BucketLoggingStatus.LoggingEnabled.TargetPrefix",
        },
        gives={"targetBucket": "TargetBucket", "targetPrefix": "TargetPrefix"},
    ),
)
