"""Permissions on what holds data: key, buckets, secrets, database, cache. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.permissions.grant import (
    ALL,
    CHANGES,
    LOOKS,
    SERVES,
    WORKS,
    Grant,
    Purpose,
    actions,
    owned,
    tagging,
    through,
)
from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.database import protected
from mlflow_backend.aws.render.policies import ARTIFACTS, BACKEND
from mlflow_backend.identity import OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Store
    from mlflow_backend.settings import Settings

# What a secret's ARN ends in beyond its name.
_DRAWN: Final = "-??????"


def grants(settings: Settings, naming: Naming) -> Iterator[Grant]:
    """Return the permissions on everything that is kept."""
    store = storage.store(settings, naming)
    yield from _key(naming)
    yield from _uses_of_keys(settings, naming, store)
    yield from _buckets(settings, naming)
    yield from _own_objects(naming, store)
    yield from _soak(settings, naming)
    yield from _secrets(settings, naming)
    yield from _engines()
    if settings.database.mode == "create":
        yield from _database(settings, naming)
    else:
        # Preflight looks for the adopted engine by its address, of which no ARN is known.
        yield Grant(
            sid="LookAtAdoptedEngine",
            purposes=LOOKS,
            actions=actions("rds", "DescribeDBClusters DescribeDBInstances"),
            resources=("*",),
        )
    if settings.cache.mode == "create":
        yield from _cache(naming)


def _key(naming: Naming) -> Iterator[Grant]:
    keys, alias = (naming.arn("kms", "key/*"),), naming.arn("kms", naming.key_alias())
    yield Grant(sid="ListAliases", purposes=LOOKS, actions=("kms:ListAliases",), resources=("*",))
    yield Grant(
        sid="LookAtOwnKey",
        purposes=LOOKS,
        actions=actions("kms", "DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags"),
        resources=keys,
        conditions={"StringEquals": owned(naming)},
    )
    yield Grant(
        sid="MakeKey",
        purposes=CHANGES,
        # The action knows no resource (service authorization reference, AWS KMS).
        actions=("kms:CreateKey",),
        resources=("*",),
        conditions={"StringEquals": tagging(naming)},
    )
    yield Grant(
        sid="TagNewKey",
        purposes=CHANGES,
        # A key that is another stack's cannot be made this one's.
        actions=("kms:TagResource",),
        resources=keys,
        conditions={"StringEquals": tagging(naming), "Null": {"aws:ResourceTag/stack": "true"}},
    )
    yield Grant(
        sid="ChangeOwnKey",
        purposes=CHANGES,
        actions=actions(
            "kms",
            "CreateAlias DeleteAlias EnableKeyRotation PutKeyPolicy ScheduleKeyDeletion TagResource UntagResource "
            "UpdateAlias UpdateKeyDescription",
        ),
        resources=keys,
        conditions={"StringEquals": owned(naming)},
    )
    # Both the alias and its key are asked for; an alias has no tags.
    yield Grant(
        sid="ChangeOwnAlias",
        purposes=CHANGES,
        actions=actions("kms", "CreateAlias DeleteAlias UpdateAlias"),
        resources=(alias,),
    )


def _uses_of_keys(settings: Settings, naming: Naming, store: Store) -> Iterator[Grant]:
    keys = (naming.arn("kms", "key/*"),)
    yield Grant(
        sid="ReadThroughServices",
        purposes=ALL,
        # The ledger and the secrets are encrypted with the backend's own key.
        actions=("kms:Decrypt",),
        resources=keys,
        conditions={"StringEquals": {**owned(naming), **through(naming, "s3", "secretsmanager")}},
    )
    yield Grant(
        sid="WriteThroughServices",
        purposes=WORKS,
        actions=("kms:GenerateDataKey",),
        resources=keys,
        conditions={"StringEquals": {**owned(naming), **through(naming, "s3", "secretsmanager")}},
    )
    yield Grant(
        sid="EncryptThroughServices",
        purposes=CHANGES,
        actions=("kms:CreateGrant", "kms:DescribeKey", "kms:Decrypt", "kms:GenerateDataKey"),
        resources=keys,
        conditions={"StringEquals": {**owned(naming), **through(naming, "rds", "elasticache")}},
    )
    named = {store.key_arn} | ({settings.aws.artifacts.key} if settings.aws.artifacts.key else set())
    adopted = sorted(each for each in named if each is not None)
    if adopted:
        yield Grant(
            sid="ReadAdoptedBucket",
            purposes=ALL,
            actions=("kms:Decrypt",),
            resources=tuple(adopted),
            conditions={"StringEquals": through(naming, "s3")},
        )
        yield Grant(
            sid="WriteAdoptedBucket",
            purposes=WORKS,
            actions=("kms:GenerateDataKey",),
            resources=tuple(adopted),
            conditions={"StringEquals": through(naming, "s3")},
        )


def _buckets(settings: Settings, naming: Naming) -> Iterator[Grant]:
    names = [naming.bucket("data")] if settings.artifacts.mode == "create" else []
    logs = naming.bucket("logs")
    buckets = tuple(naming.bucket_arn(each) for each in (*names, logs))
    yield Grant(
        sid="LookAtBuckets",
        purposes=LOOKS,
        actions=actions(
            "s3",
            "GetAccelerateConfiguration GetBucketAcl GetBucketCORS GetBucketLogging GetBucketObjectLockConfiguration "
            "GetBucketOwnershipControls GetBucketPolicy GetBucketPublicAccessBlock GetBucketRequestPayment "
            "GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration "
            "GetLifecycleConfiguration GetReplicationConfiguration ListBucket ListTagsForResource",
        ),
        resources=buckets,
    )
    yield Grant(
        sid="ChangeBuckets",
        purposes=CHANGES,
        actions=actions(
            "s3",
            "CreateBucket DeleteBucket DeleteBucketPolicy PutBucketLogging PutBucketOwnershipControls PutBucketPolicy "
            "PutBucketPublicAccessBlock PutBucketTagging PutBucketVersioning PutEncryptionConfiguration "
            "PutLifecycleConfiguration TagResource UntagResource",
        ),
        resources=buckets,
    )
    emptied = [logs] if protected(settings) else [*names, logs]
    yield Grant(
        sid="EmptyBuckets",
        purposes=CHANGES,
        actions=("s3:ListBucketVersions",),
        resources=tuple(naming.bucket_arn(each) for each in emptied),
    )
    yield Grant(
        sid="DeleteObjects",
        purposes=CHANGES,
        actions=("s3:DeleteObject", "s3:DeleteObjectVersion"),
        resources=tuple(naming.bucket_arn(each, "/*") for each in emptied),
    )


def _own_objects(naming: Naming, store: Store) -> Iterator[Grant]:
    """Return the permissions on the backend's own prefix: ledger, journals, locks, reports. Dumps are the tasks'."""
    own = store.prefix(BACKEND)
    yield Grant(
        sid="ListOwnObjects",
        purposes=ALL,
        actions=("s3:ListBucket",),
        resources=(naming.bucket_arn(store.bucket),),
        conditions={"StringLike": {"s3:prefix": [own, f"{own}/*"]}},
    )
    parts = ("damaged", "durations", "journal", "ledger", "locator", "locks", "newest", "reports")
    yield Grant(
        sid="ReadOwnObjects",
        purposes=ALL,
        actions=("s3:GetObject",),
        resources=tuple(naming.bucket_arn(store.bucket, f"/{own}/{part}*") for part in parts),
    )
    yield Grant(
        sid="CheckDumps",
        purposes=WORKS,
        # Whether a dump is whole is found by its checksum.
        actions=("s3:GetObject",),
        resources=(naming.bucket_arn(store.bucket, f"/{own}/dumps/*"),),
    )
    yield Grant(
        sid="TakeLocks",
        purposes=WORKS,
        actions=("s3:DeleteObject", "s3:PutObject"),
        resources=(naming.bucket_arn(store.bucket, f"/{own}/locks/*"),),
    )
    yield Grant(
        sid="WriteOwnObjects",
        purposes=SERVES,
        actions=("s3:DeleteObject", "s3:PutObject"),
        resources=(naming.bucket_arn(store.bucket, f"/{own}/*"),),
    )
    yield Grant(
        sid="MarkStore",
        purposes=SERVES,
        actions=("s3:PutObject",),
        resources=(naming.bucket_arn(store.bucket, f"/{store.prefix(ARTIFACTS)}/{OBJECT}"),),
    )


def _soak(settings: Settings, naming: Naming) -> Iterator[Grant]:
    """Return the permissions on the ledger of the stack where a release is tried first."""
    source = settings.release.soak_source
    if source is None:
        return
    other = replace(naming, stack=source)
    bucket = other.bucket("data")
    yield Grant(
        sid="ListSoakLedger",
        purposes=LOOKS,
        actions=("s3:ListBucket",),
        resources=(other.bucket_arn(bucket),),
        conditions={"StringLike": {"s3:prefix": [f"{BACKEND}/ledger/*", f"{BACKEND}/newest*"]}},
    )
    yield Grant(
        sid="ReadSoakLedger",
        purposes=LOOKS,
        actions=("s3:GetObject",),
        resources=(other.bucket_arn(bucket, f"/{BACKEND}/ledger/*"), other.bucket_arn(bucket, f"/{BACKEND}/newest*")),
    )
    yield Grant(
        sid="DecryptSoakLedger",
        purposes=LOOKS,
        actions=("kms:Decrypt",),
        resources=(naming.arn("kms", "key/*"),),
        conditions={"StringEquals": {**owned(other), **through(naming, "s3")}},
    )


def _secrets(settings: Settings, naming: Naming) -> Iterator[Grant]:
    def arn(part: str) -> str:
        return naming.arn("secretsmanager", f"secret:{naming.secret(part)}{_DRAWN}")

    parts = ["server"]
    parts += ["api-keys"] if settings.access.mode == "token" else []
    parts += ["cache"] if settings.cache.mode == "create" else []
    adopted = [settings.aws.database.secret, settings.aws.cache.secret, settings.aws.registry_secret]
    own, others = tuple(arn(part) for part in parts), tuple(each for each in adopted if each is not None)
    yield Grant(
        sid="LookAtSecrets",
        purposes=LOOKS,
        actions=("secretsmanager:DescribeSecret", "secretsmanager:GetResourcePolicy"),
        resources=own,
    )
    if others:
        yield Grant(
            sid="LookAtAdoptedSecrets",
            purposes=LOOKS,
            actions=("secretsmanager:DescribeSecret",),
            resources=others,
        )
    yield Grant(
        sid="FindServerSecret",
        purposes=frozenset({Purpose.PLAN, Purpose.ROLLBACK}),
        actions=("secretsmanager:DescribeSecret",),
        resources=(arn("server"),),
    )
    yield Grant(
        sid="ReadLogin",
        purposes=SERVES,
        # Verification logs in as users do.
        actions=("secretsmanager:GetSecretValue",),
        resources=(arn("server"),),
    )
    if settings.cache.mode == "create":
        yield Grant(
            sid="CompareCacheAddress",
            purposes=LOOKS,
            # A refresh reads it; Pulumi's state has the same value.
            actions=("secretsmanager:GetSecretValue",),
            resources=(arn("cache"),),
        )
    if settings.aws.registry_secret is not None:
        yield Grant(
            sid="LogInToRegistry",
            purposes=LOOKS,
            actions=("secretsmanager:GetSecretValue",),
            resources=(settings.aws.registry_secret,),
        )
    yield Grant(
        sid="ChangeSecrets",
        purposes=CHANGES,
        actions=actions(
            "secretsmanager",
            "CreateSecret DeleteSecret PutSecretValue TagResource UntagResource UpdateSecret UpdateSecretVersionStage",
        ),
        resources=own,
    )


def _engines() -> Iterator[Grant]:
    """Return the permissions to look at databases: of an adopted one preflight wants the engine's version."""
    yield Grant(
        sid="LookAtDatabase",
        purposes=LOOKS,
        actions=actions(
            "rds",
            "DescribeDBInstances DescribeDBParameterGroups DescribeDBParameters DescribeDBSubnetGroups "
            "ListTagsForResource",
        ),
        resources=("*",),
    )


def _database(settings: Settings, naming: Naming) -> Iterator[Grant]:
    database, group = naming.arn("rds", f"db:{naming.database()}"), naming.database_group()
    groups = (naming.arn("rds", f"subgrp:{group}"), naming.arn("rds", f"pg:{group}"))
    yield Grant(
        sid="ChangeDatabase",
        purposes=CHANGES,
        actions=actions(
            "rds",
            "AddTagsToResource CreateDBInstance CreateDBParameterGroup CreateDBSubnetGroup DeleteDBInstance "
            "DeleteDBParameterGroup DeleteDBSubnetGroup ModifyDBInstance ModifyDBParameterGroup ModifyDBSubnetGroup "
            "RebootDBInstance RemoveTagsFromResource ResetDBParameterGroup",
        ),
        # Creating and changing an instance names its option group too, which is AWS's default one.
        resources=(database, *groups, naming.arn("rds", "og:default:*")),
    )
    if protected(settings):
        yield Grant(
            sid="KeepLastSnapshot",
            purposes=CHANGES,
            actions=("rds:AddTagsToResource", "rds:CreateDBSnapshot"),
            resources=(database, naming.arn("rds", f"snapshot:{naming.database()}-final-*")),
        )
    yield Grant(
        sid="LetDatabaseKeepItsPassword",
        purposes=CHANGES,
        # RDS makes its administrator's secret with the caller's permissions (Amazon RDS user guide, 'Password
        # management with Amazon RDS and AWS Secrets Manager').
        actions=("secretsmanager:CreateSecret", "secretsmanager:TagResource"),
        resources=(naming.arn("secretsmanager", "secret:rds!db-*"),),
    )


def _cache(naming: Naming) -> Iterator[Grant]:
    service, group = "elasticache", naming.cache_group()
    yield Grant(
        sid="LookAtCache",
        purposes=LOOKS,
        actions=actions(
            service,
            "DescribeCacheClusters DescribeCacheParameterGroups DescribeCacheParameters DescribeCacheSubnetGroups "
            "DescribeReplicationGroups ListTagsForResource",
        ),
        resources=("*",),
    )
    yield Grant(
        sid="ChangeCache",
        purposes=CHANGES,
        actions=actions(
            service,
            "AddTagsToResource CreateCacheParameterGroup CreateCacheSubnetGroup CreateReplicationGroup "
            "DecreaseReplicaCount DeleteCacheParameterGroup DeleteCacheSubnetGroup DeleteReplicationGroup "
            "IncreaseReplicaCount ModifyCacheParameterGroup ModifyCacheSubnetGroup ModifyReplicationGroup "
            "RemoveTagsFromResource ResetCacheParameterGroup",
        ),
        resources=(
            naming.arn(service, f"replicationgroup:{naming.cache()}"),
            naming.arn(service, f"cluster:{naming.cache()}-*"),
            naming.arn(service, f"subnetgroup:{group}"),
            naming.arn(service, f"parametergroup:{group}"),
        ),
    )
