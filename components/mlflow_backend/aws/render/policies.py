"""IAM documents: what each role may do, by exact ARN. Pure.

One function a document. A statement names its reason in its Sid. The server is kept away from `_backend/`, where the
ledger and the dumps are (dumps hold password hashes): its grants do not reach there, and a Deny says so in case
another policy is attached later.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.bucket_root import ARTIFACTS, BucketRoot
from mlflow_backend.contract import UsageError
from mlflow_backend.identity import OBJECT
from mlflow_backend.image_reference import parse
from mlflow_backend.releases.stores import LEDGER, LOCKS, NEWEST, STAGING

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.image_reference import Reference
    from mlflow_backend.settings import Settings

Statement = Mapping[str, Any]
Document = dict[str, Any]

BACKEND: Final = "_backend"
DUMPS: Final = f"{BACKEND}/dumps"
JOBS: Final = f"{BACKEND}/verify"
"""The key of the job of a verification inside the network, until its task has read it."""
_SERVICES: Final = {"s3": "S3", "secretsmanager": "SecretsManager"}
OBJECT_ACTIONS: Final = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)


@dataclass(frozen=True, kw_only=True)
class S3Root(BucketRoot):
    """A root in a bucket of S3, and the key that encrypts what is in it, if it is known."""

    scheme = "s3://"
    key_arn: str | None = None


def document(*statements: Statement | None) -> Document:
    """Return a policy document of `statements`; None stands for a statement that does not apply."""
    return {"Version": "2012-10-17", "Statement": [dict(each) for each in statements if each is not None]}


def allow(sid: str, action: str | Sequence[str], resource: str | Sequence[str]) -> Statement:
    """Return the statement that allows actions on resources without a condition."""
    return {"Sid": sid, "Effect": "Allow", "Action": action, "Resource": resource}


def service_trust(naming: Naming, service: str, *, sid: str, source: str) -> Document:
    """Let a service of AWS take a role for what this account has there (`source`), and for nobody else's."""
    return document({
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": naming.account}, "ArnLike": {"aws:SourceArn": source}},
    })  # fmt: skip


def text(policy: Document) -> str:
    """Return a document in one spelling, so that an unchanged policy is an unchanged input."""
    return json.dumps(policy, sort_keys=True, separators=(",", ":"))


def server(naming: Naming, store: S3Root, *, api_keys: str | None = None, key: str | None = None) -> Document:
    """What the server may do with AWS: use its artifacts, and read the hashes of API keys if access is by keys.

    `api_keys` is the ARN of the secret with the hashes, `key` that of the KMS key which encrypts it.
    """
    return document(
        *_objects(naming, store, ARTIFACTS),
        {
            "Sid": "NeverTheStoresIdentity",
            "Effect": "Deny",
            "Action": ["s3:DeleteObject", "s3:PutObject"],
            "Resource": naming.bucket_arn(store.bucket, f"/{store.prefix(ARTIFACTS)}/{OBJECT}"),
        },
        allow("ReadKeyHashes", "secretsmanager:GetSecretValue", api_keys) if api_keys else None,
        through_service(naming, "secretsmanager", [key] if api_keys and key else [], ("kms:Decrypt",)),
        use_key(naming, store),
        *_keep_out(naming, store),
    )


def database_tasks(naming: Naming, store: S3Root) -> Document:
    """What the one-shot database task may do: write and read dumps, and read those that a restore has opened.

    Nothing with the ledger, nothing with artifacts.
    """
    return document(
        *_objects(naming, store, DUMPS),
        allow("ReadWhatIsRestored", "s3:GetObject", naming.bucket_arn(store.bucket, f"/{store.prefix(STAGING)}/*")),
        use_key(naming, store),
    )


def maintenance_task(naming: Naming, store: S3Root, *, tools: str | None = None) -> Document:
    """What a maintenance may do: see how large artifacts and dumps are, and lock; it removes artifacts by the server.

    `tools` is where in the store its tool is, if it is there. S3 says of an object that is not there that it is denied,
    unless the caller may list the whole bucket.
    """
    return document(
        allow("ListNames", "s3:ListBucket", naming.bucket_arn(store.bucket)),
        allow("Lock", list(OBJECT_ACTIONS), naming.bucket_arn(store.bucket, f"/{store.prefix(LOCKS)}/*")),
        None
        if tools is None
        else allow("ReadTool", "s3:GetObject", naming.bucket_arn(store.bucket, f"/{store.prefix(tools)}/*")),
        use_key(naming, store),
    )


def verify_task(naming: Naming, store: S3Root, *, scheduled: bool = False) -> Document:
    """What the one-shot task that verifies may do: read its job. Everything else it asks of the server, as users do.

    One that a schedule starts is given no release that serves: it reads the ledger. S3 says of an object that is
    not there that it is denied, unless the caller may list the whole bucket.
    """
    bucket, ledger = store.bucket, (f"/{store.prefix(LEDGER)}/*", f"/{store.prefix(NEWEST)}")
    read_ledger = (
        allow("ListNames", "s3:ListBucket", naming.bucket_arn(bucket)),
        allow("ReadLedger", "s3:GetObject", [naming.bucket_arn(bucket, each) for each in ledger]),
    )
    return document(
        *(read_ledger if scheduled else ()),
        allow("ReadJob", "s3:GetObject", naming.bucket_arn(store.bucket, f"/{store.prefix(JOBS)}/*")),
        use_key(naming, store, ["kms:Decrypt"]),
    )


def data_bucket(naming: Naming, store: S3Root, *, server_role_arn: str) -> Document:
    """The bucket's own policy: TLS only, and `_backend/` closed to the server whatever its role is granted."""
    whole = [naming.bucket_arn(store.bucket), naming.bucket_arn(store.bucket, "/*")]
    return document(
        _tls_only(whole),
        {
            "Sid": "KeepServerOutOfBackend",
            "Effect": "Deny",
            "Principal": {"AWS": server_role_arn},
            "Action": "s3:*",
            "Resource": naming.bucket_arn(store.bucket, f"/{store.prefix(BACKEND)}/*"),
        },
    )


def logs_bucket(naming: Naming, *, bucket: str, data_bucket_arn: str | None) -> Document:
    """The log bucket's policy: TLS only, and each log writer its own prefix.

    `data_bucket_arn` is None while the data bucket keeps no access logs.
    """
    data_writer = {
        "Sid": "WriteBucketLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": naming.bucket_arn(bucket, "/data/*"),
        "Condition": {
            "ArnLike": {"aws:SourceArn": data_bucket_arn},
            "StringEquals": {"aws:SourceAccount": naming.account},
        },
    }
    return document(
        _tls_only([naming.bucket_arn(bucket), naming.bucket_arn(bucket, "/*")]),
        {
            "Sid": "WriteBalancerLogs",
            "Effect": "Allow",
            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            "Action": "s3:PutObject",
            # No condition on aws:SourceArn: whether it comes with the test file that AWS writes before it accepts the
            # attribute is documented nowhere, and without it no balancer could be made. The path holds the account.
            "Resource": naming.bucket_arn(bucket, f"/balancer/AWSLogs/{naming.account}/*"),
        },
        data_writer if data_bucket_arn else None,
    )


def key(naming: Naming, *, log_group_arns: Sequence[str]) -> Document:
    """The KMS key's policy: IAM decides within the account, and the two services that act on their own are let in."""
    return document(
        {
            "Sid": "AccountDecides",
            "Effect": "Allow",
            "Principal": {"AWS": naming.global_arn("iam", "root")},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Sid": "EncryptLogs",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{naming.region}.{naming.domain}"},
            "Action": ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"],
            "Resource": "*",
            "Condition": {"ArnEquals": {"kms:EncryptionContext:aws:logs:arn": sorted(log_group_arns)}},
        },
        {
            "Sid": "PublishAlarms",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": ["kms:Decrypt", "kms:GenerateDataKey*"],
            "Resource": "*",
            "Condition": {"StringEquals": {"aws:SourceAccount": naming.account}},
        },
    )


def topic(naming: Naming, *, topic_arn: str) -> Document:
    """The alarm topic's policy: this account's alarms may publish."""
    return document(
        {
            "Sid": "AlarmsOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {
                "ArnLike": {"aws:SourceArn": naming.arn("cloudwatch", "alarm:*")},
                "StringEquals": {"aws:SourceAccount": naming.account},
            },
        }
    )


def in_ecr(settings: Settings) -> Reference | None:
    """Return the image if it is in ECR; a name that is no image's is left to preflight, which says so."""
    try:
        reference = parse(settings.server.image or "")
    except UsageError:
        return None
    return None if reference.ecr is None else reference


def repository_arn(settings: Settings, naming: Naming) -> str | None:
    """Return the ARN of the ECR repository that the image is in; None for an image elsewhere."""
    reference = in_ecr(settings)
    if reference is None or reference.ecr is None:
        return None
    account, region = reference.ecr
    return f"arn:{naming.partition}:ecr:{region}:{account}:repository/{reference.repository}"


def _objects(naming: Naming, store: S3Root, part: str) -> tuple[Statement, ...]:
    prefix = store.prefix(part)
    return (
        {
            # On the bucket's ARN: granted on `bucket/*` it grants nothing, and a real deployment was denied exactly
            # this, hours after a green update.
            "Sid": "ListOwnPrefix",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": naming.bucket_arn(store.bucket),
            "Condition": {"StringLike": {"s3:prefix": [prefix, f"{prefix}/*"]}},
        },
        allow("UseOwnObjects", list(OBJECT_ACTIONS), naming.bucket_arn(store.bucket, f"/{prefix}/*")),
    )


def _keep_out(naming: Naming, store: S3Root) -> tuple[Statement, ...]:
    prefix = store.prefix(BACKEND)
    return (
        {
            "Sid": "NeverTheBackendsOwnObjects",
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": naming.bucket_arn(store.bucket, f"/{prefix}/*"),
        },
        {
            "Sid": "NeverTheBackendsOwnNames",
            "Effect": "Deny",
            "Action": "s3:ListBucket",
            "Resource": naming.bucket_arn(store.bucket),
            "Condition": {"StringLike": {"s3:prefix": [prefix, f"{prefix}/*"]}},
        },
    )


def use_key(
    naming: Naming, store: S3Root, actions: Sequence[str] = ("kms:Decrypt", "kms:GenerateDataKey")
) -> Statement | None:
    """Return the statement that lets a bucket's key be used, by default to read and to write; None without one."""
    return through_service(naming, "s3", [store.key_arn] if store.key_arn else [], actions)


def through_service(naming: Naming, service: str, keys: Sequence[str], actions: Sequence[str]) -> Statement | None:
    """Return the statement that lets KMS keys be used through one service; None without keys."""
    if not keys:
        return None
    return {
        "Sid": f"UseKeyThrough{_SERVICES[service]}",
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": sorted(set(keys)),
        "Condition": {"StringEquals": {"kms:ViaService": f"{service}.{naming.region}.{naming.domain}"}},
    }


def _tls_only(resources: Sequence[str]) -> Statement:
    return {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": list(resources),
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
