"""Backups of a backend on AWS: where they are, and what the task that takes them may do. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.aws.render import policies
from mlflow_backend.aws.render.policies import S3Root
from mlflow_backend.backup.tool import FOLDER
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.releases.stores import LEDGER, LOCKS, NEWEST, STAGING

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document
    from mlflow_backend.settings import Settings


def destination(settings: Settings, stack: str) -> S3Root:
    """Return the root of a stack's backups, which `backup.destination` names; only for a stack that is backed up."""
    return S3Root.at(str(settings.backup.destination), stack)


def task(naming: Naming, store: S3Root, *, there: S3Root) -> Document:
    """What the task may do: read artifacts, ledger and tool, dump, create objects at the destination, and no more.

    S3 says of an object that is not there that it is denied, unless the caller may list the whole bucket.
    """
    own = naming.bucket_arn(store.bucket)
    written = [naming.bucket_arn(store.bucket, f"/{store.prefix(part)}/*") for part in (STAGING, LOCKS)]
    read = [naming.bucket_arn(store.bucket, f"/{store.prefix(part)}/*") for part in (ARTIFACTS, LEDGER, FOLDER)]
    read.append(naming.bucket_arn(store.bucket, f"/{store.prefix(NEWEST)}"))
    kept = naming.bucket_arn(there.bucket, f"/{there.root}/*")
    return policies.document(
        policies.allow("ListNames", ["s3:ListBucket"], sorted({own, naming.bucket_arn(there.bucket)})),
        policies.allow("ReadWhatIsBackedUp", ["s3:GetObject"], read),
        policies.allow("DumpAndLock", policies.OBJECT_ACTIONS, written),
        policies.allow("CreateAndReadBackups", ["s3:AbortMultipartUpload", "s3:GetObject", "s3:PutObject"], [kept]),
        {
            # The parts of a large object take no condition; the call that makes an object of them does (Amazon S3 user
            # guide, 'Enforce conditional writes on Amazon S3 buckets').
            "Sid": "NeverOverwriteBackups",
            "Effect": "Deny",
            "Action": "s3:PutObject",
            "Resource": kept,
            "Condition": {"Null": {"s3:if-none-match": "true"}, "Bool": {"s3:ObjectCreationOperation": "true"}},
        },
        policies.use_key(naming, store),
    )
