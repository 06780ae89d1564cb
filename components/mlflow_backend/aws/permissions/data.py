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
    grant,
    owned,
    tagging,
    through,
)
from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.database import protected
from mlflow_backend.aws.render.policies import BACKEND
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.identity import OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import S3Root
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
        yield grant("LookAtAdoptedEngine", LOOKS, "rds:DescribeDBClusters DescribeDBInstances", "*")
    if settings.cache.mode == "create":
        yield from _cache(naming)


def _key(naming: Naming) -> Iterator[Grant]:
    keys, alias = (naming.arn("kms", "key/*"),), naming.arn("kms", naming.key_alias())
    yield grant("ListAliases", LOOKS, "kms:ListAliases", "*")
    yield grant(
        "LookAtOwnKey",
        LOOKS,
        "kms:DescribeKey GetKeyPolicy GetKeyRotationStatus ListResourceTags",
        *keys,
        StringEquals=owned(naming),
    )
    # The action knows no resource (service authorization reference, AWS KMS).
    yield grant("MakeKey", CHANGES, "kms:CreateKey", "*", StringEquals=tagging(naming))
    # A key that is another stack's cannot be made this one's.
    yield grant(
        "TagNewKey",
        CHANGES,
        "kms:TagResource",
        *keys,
        StringEquals=tagging(naming),
        Null={"aws:ResourceTag/stack": "true"},
    )
    yield grant(
        "ChangeOwnKey",
        CHANGES,
        "kms:CreateAlias DeleteAlias EnableKeyRotation PutKeyPolicy ScheduleKeyDeletion TagResource "
        "UntagResource UpdateAlias UpdateKeyDescription",
        *keys,
        StringEquals=owned(naming),
    )
    # Both the alias and its key are asked for; an alias has no tags.
    yield grant("ChangeOwnAlias", CHANGES, "kms:CreateAlias DeleteAlias UpdateAlias", alias)


def _uses_of_keys(settings: Settings, naming: Naming, store: S3Root) -> Iterator[Grant]:
    keys = (naming.arn("kms", "key/*"),)
    # The ledger and the secrets are encrypted with the backend's own key.
    yield grant(
        "ReadThroughServices",
        ALL,
        "kms:Decrypt",
        *keys,
        StringEquals={**owned(naming), **through(naming, "s3", "secretsmanager")},
    )
    yield grant(
        "WriteThroughServices",
        WORKS,
        "kms:GenerateDataKey",
        *keys,
        StringEquals={**owned(naming), **through(naming, "s3", "secretsmanager")},
    )
    yield grant(
        "EncryptThroughServices",
        CHANGES,
        "kms:CreateGrant DescribeKey Decrypt GenerateDataKey",
        *keys,
        StringEquals={**owned(naming), **through(naming, "rds", "elasticache")},
    )
    named = {store.key_arn} | ({settings.aws.artifacts.key} if settings.aws.artifacts.key else set())
    adopted = sorted(each for each in named if each is not None)
    if adopted:
        yield grant("ReadAdoptedBucket", ALL, "kms:Decrypt", *adopted, StringEquals=through(naming, "s3"))
        yield grant("WriteAdoptedBucket", WORKS, "kms:GenerateDataKey", *adopted, StringEquals=through(naming, "s3"))


def _buckets(settings: Settings, naming: Naming) -> Iterator[Grant]:
    names = [naming.bucket("data")] if settings.artifacts.mode == "create" else []
    logs = naming.bucket("logs")
    buckets = tuple(naming.bucket_arn(each) for each in (*names, logs))
    yield grant(
        "LookAtBuckets",
        LOOKS,
        "s3:GetAccelerateConfiguration GetBucketAcl GetBucketCORS GetBucketLogging "
        "GetBucketObjectLockConfiguration GetBucketOwnershipControls GetBucketPolicy "
        "GetBucketPublicAccessBlock GetBucketRequestPayment GetBucketTagging GetBucketVersioning "
        "GetBucketWebsite GetEncryptionConfiguration GetLifecycleConfiguration GetReplicationConfiguration "
        "ListBucket ListTagsForResource",
        *buckets,
    )
    yield grant(
        "ChangeBuckets",
        CHANGES,
        "s3:CreateBucket DeleteBucket DeleteBucketPolicy PutBucketLogging PutBucketOwnershipControls "
        "PutBucketPolicy PutBucketPublicAccessBlock PutBucketTagging PutBucketVersioning "
        "PutEncryptionConfiguration PutLifecycleConfiguration TagResource UntagResource",
        *buckets,
    )
    emptied = [logs] if protected(settings) else [*names, logs]
    yield grant("EmptyBuckets", CHANGES, "s3:ListBucketVersions", *(naming.bucket_arn(each) for each in emptied))
    yield grant(
        "DeleteObjects",
        CHANGES,
        "s3:DeleteObject DeleteObjectVersion",
        *(naming.bucket_arn(each, "/*") for each in emptied),
    )


def _own_objects(naming: Naming, store: S3Root) -> Iterator[Grant]:
    """Return the permissions on the backend's own prefix: ledger, journals, locks, reports. Dumps are the tasks'."""
    own = store.prefix(BACKEND)
    yield grant(
        "ListOwnObjects",
        ALL,
        "s3:ListBucket",
        naming.bucket_arn(store.bucket),
        StringLike={"s3:prefix": [own, f"{own}/*"]},
    )
    parts = ("damaged", "durations", "journal", "ledger", "locator", "locks", "maintenance", "newest", "reports")
    yield grant(
        "ReadOwnObjects", ALL, "s3:GetObject", *(naming.bucket_arn(store.bucket, f"/{own}/{part}*") for part in parts)
    )
    # Whether a dump is whole is found by its checksum.
    yield grant("CheckDumps", WORKS, "s3:GetObject", naming.bucket_arn(store.bucket, f"/{own}/dumps/*"))
    yield grant("TakeLocks", WORKS, "s3:DeleteObject PutObject", naming.bucket_arn(store.bucket, f"/{own}/locks/*"))
    yield grant("WriteOwnObjects", SERVES, "s3:DeleteObject PutObject", naming.bucket_arn(store.bucket, f"/{own}/*"))
    yield grant(
        "MarkStore", SERVES, "s3:PutObject", naming.bucket_arn(store.bucket, f"/{store.prefix(ARTIFACTS)}/{OBJECT}")
    )


def _soak(settings: Settings, naming: Naming) -> Iterator[Grant]:
    """Return the permissions on the ledger of the stack where a release is tried first."""
    source = settings.release.soak_source
    if source is None:
        return
    other = replace(naming, stack=source)
    bucket = other.bucket("data")
    yield grant(
        "ListSoakLedger",
        LOOKS,
        "s3:ListBucket",
        other.bucket_arn(bucket),
        StringLike={"s3:prefix": [f"{BACKEND}/ledger/*", f"{BACKEND}/newest*"]},
    )
    yield grant(
        "ReadSoakLedger",
        LOOKS,
        "s3:GetObject",
        other.bucket_arn(bucket, f"/{BACKEND}/ledger/*"),
        other.bucket_arn(bucket, f"/{BACKEND}/newest*"),
    )
    yield grant(
        "DecryptSoakLedger",
        LOOKS,
        "kms:Decrypt",
        naming.arn("kms", "key/*"),
        StringEquals={**owned(other), **through(naming, "s3")},
    )


def _secrets(settings: Settings, naming: Naming) -> Iterator[Grant]:
    def arn(part: str) -> str:
        return naming.arn("secretsmanager", f"secret:{naming.secret(part)}{_DRAWN}")

    parts = ["server"]
    parts += ["api-keys"] if settings.access.mode == "token" else []
    parts += ["cache"] if settings.cache.mode == "create" else []
    adopted = [settings.aws.database.secret, settings.aws.cache.secret, settings.aws.registry_secret]
    own, others = tuple(arn(part) for part in parts), tuple(each for each in adopted if each is not None)
    yield grant("LookAtSecrets", LOOKS, "secretsmanager:DescribeSecret GetResourcePolicy", *own)
    if others:
        yield grant("LookAtAdoptedSecrets", LOOKS, "secretsmanager:DescribeSecret", *others)
    yield grant(
        "FindServerSecret", frozenset({Purpose.PLAN, Purpose.ROLLBACK}), "secretsmanager:DescribeSecret", arn("server")
    )
    # Verification logs in as users do.
    yield grant("ReadLogin", SERVES, "secretsmanager:GetSecretValue", arn("server"))
    if settings.cache.mode == "create":
        # A refresh reads it; Pulumi's state has the same value.
        yield grant("CompareCacheAddress", LOOKS, "secretsmanager:GetSecretValue", arn("cache"))
    if settings.aws.registry_secret is not None:
        yield grant("LogInToRegistry", LOOKS, "secretsmanager:GetSecretValue", settings.aws.registry_secret)
    yield grant(
        "ChangeSecrets",
        CHANGES,
        "secretsmanager:CreateSecret DeleteSecret PutSecretValue TagResource UntagResource UpdateSecret "
        "UpdateSecretVersionStage",
        *own,
    )


def _engines() -> Iterator[Grant]:
    """Return the permissions to look at databases: of an adopted one preflight wants the engine's version."""
    yield grant(
        "LookAtDatabase",
        LOOKS,
        "rds:DescribeDBInstances DescribeDBParameterGroups DescribeDBParameters DescribeDBSubnetGroups "
        "ListTagsForResource",
        "*",
    )


def _database(settings: Settings, naming: Naming) -> Iterator[Grant]:
    database, group = naming.arn("rds", f"db:{naming.database()}"), naming.database_group()
    groups = (naming.arn("rds", f"subgrp:{group}"), naming.arn("rds", f"pg:{group}"))
    # Creating and changing an instance names its option group too, which is AWS's default one.
    yield grant(
        "ChangeDatabase",
        CHANGES,
        "rds:AddTagsToResource CreateDBInstance CreateDBParameterGroup CreateDBSubnetGroup DeleteDBInstance "
        "DeleteDBParameterGroup DeleteDBSubnetGroup ModifyDBInstance ModifyDBParameterGroup "
        "ModifyDBSubnetGroup RebootDBInstance RemoveTagsFromResource ResetDBParameterGroup",
        database,
        *groups,
        naming.arn("rds", "og:default:*"),
    )
    if protected(settings):
        yield grant(
            "KeepLastSnapshot",
            CHANGES,
            "rds:AddTagsToResource CreateDBSnapshot",
            database,
            naming.arn("rds", f"snapshot:{naming.database()}-final-*"),
        )
    # RDS makes its administrator's secret with the caller's permissions (Amazon RDS user guide, 'Password
    # management with Amazon RDS and AWS Secrets Manager').
    yield grant(
        "LetDatabaseKeepItsPassword",
        CHANGES,
        "secretsmanager:CreateSecret TagResource",
        naming.arn("secretsmanager", "secret:rds!db-*"),
    )


def _cache(naming: Naming) -> Iterator[Grant]:
    service, group = "elasticache", naming.cache_group()
    yield grant(
        "LookAtCache",
        LOOKS,
        "elasticache:DescribeCacheClusters DescribeCacheParameterGroups DescribeCacheParameters "
        "DescribeCacheSubnetGroups DescribeReplicationGroups ListTagsForResource",
        "*",
    )
    yield grant(
        "ChangeCache",
        CHANGES,
        "elasticache:AddTagsToResource CreateCacheParameterGroup CreateCacheSubnetGroup "
        "CreateReplicationGroup DecreaseReplicaCount DeleteCacheParameterGroup DeleteCacheSubnetGroup "
        "DeleteReplicationGroup IncreaseReplicaCount ModifyCacheParameterGroup ModifyCacheSubnetGroup "
        "ModifyReplicationGroup RemoveTagsFromResource ResetCacheParameterGroup",
        naming.arn(service, f"replicationgroup:{naming.cache()}"),
        naming.arn(service, f"cluster:{naming.cache()}-*"),
        naming.arn(service, f"subnetgroup:{group}"),
        naming.arn(service, f"parametergroup:{group}"),
    )
