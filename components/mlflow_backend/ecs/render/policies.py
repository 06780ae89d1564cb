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

from mlflow_backend.identity import OBJECT
from mlflow_backend.preflight.reference import NotAReference, parse

if TYPE_CHECKING:
    from mlflow_backend.ecs.render.place import Place
    from mlflow_backend.settings import Settings

Statement = Mapping[str, Any]
Document = dict[str, Any]

ARTIFACTS: Final = "artifacts"
BACKEND: Final = "_backend"
DUMPS: Final = f"{BACKEND}/dumps"
JOBS: Final = f"{BACKEND}/verify"
"""Where the job of a verification inside the network lies until its task has read it."""
ROLES: Final = ("server", "server-execution", "tasks", "tasks-execution", "verify", "verify-execution")
"""The roles of the server, of the database's one-shot tasks and of verification; ECS takes the `-execution` ones."""

_SERVICES: Final = {"s3": "S3", "secretsmanager": "SecretsManager"}
_OBJECT_ACTIONS: Final = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)


@dataclass(frozen=True, kw_only=True)
class Store:
    """The bucket as roles see it. `root` is the prefix under which `artifacts/` and `_backend/` lie, '' for none."""

    bucket: str
    root: str = ""
    key_arn: str | None = None

    def prefix(self, part: str) -> str:
        """Return the key prefix of `part`, without a slash at either end."""
        return f"{self.root}/{part}" if self.root else part


def document(*statements: Statement | None) -> Document:
    """Return a policy document of `statements`; None stands for a statement that does not apply."""
    return {"Version": "2012-10-17", "Statement": [dict(each) for each in statements if each is not None]}


def text(policy: Document) -> str:
    """Return a document in one spelling, so that an unchanged policy is an unchanged input."""
    return json.dumps(policy, sort_keys=True, separators=(",", ":"))


def tasks_trust(place: Place) -> Document:
    """Let ECS tasks of this account and region take a role; without the condition any account's could be confused."""
    return document(
        {
            "Sid": "TasksOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": place.account},
                "ArnLike": {"aws:SourceArn": place.arn("ecs", "*")},
            },
        }
    )


def execution(
    place: Place,
    *,
    secrets: Sequence[str],
    keys: Sequence[str],
    log_group: str,
    repository_arn: str | None,
) -> Document:
    """What ECS does for a task before and beside it: pull the image, write logs, read exactly its secrets.

    `secrets` and `keys` are ARNs: of the secrets that the task names, and of the KMS keys that encrypt them.
    `log_group` is the group's ARN. `repository_arn` is None for an image outside ECR.
    """
    return document(
        *_pull(repository_arn),
        {
            "Sid": "WriteOwnLogs",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{log_group}:log-stream:*",
        },
        {
            "Sid": "ReadOwnSecrets",
            "Effect": "Allow",
            "Action": "secretsmanager:GetSecretValue",
            "Resource": sorted(set(secrets)),
        },
        _through_service(place, "secretsmanager", keys, ("kms:Decrypt",)),
    )


def server(place: Place, store: Store, *, keys_secret: str | None = None, key_arn: str | None = None) -> Document:
    """What the server may do with AWS: use its artifacts, and read the hashes of API keys where access is by keys.

    `keys_secret` is the ARN of the secret with the hashes, `key_arn` that of the KMS key which encrypts it.
    """
    read_keys = {
        "Sid": "ReadKeyHashes",
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": keys_secret,
    }
    by_keys = bool(keys_secret)
    return document(
        *_objects(place, store, ARTIFACTS),
        {
            "Sid": "NeverTheStoresIdentity",
            "Effect": "Deny",
            "Action": ["s3:DeleteObject", "s3:PutObject"],
            "Resource": place.bucket_arn(store.bucket, f"/{store.prefix(ARTIFACTS)}/{OBJECT}"),
        },
        read_keys if by_keys else None,
        _through_service(place, "secretsmanager", [key_arn] if by_keys and key_arn else [], ("kms:Decrypt",)),
        _through_service(place, "s3", [store.key_arn] if store.key_arn else [], ("kms:Decrypt", "kms:GenerateDataKey")),
        *_keep_out(place, store),
    )


def database_tasks(place: Place, store: Store) -> Document:
    """What the one-shot database task may do: write and read dumps; nothing with the ledger, nothing with artifacts."""
    return document(
        *_objects(place, store, DUMPS),
        _through_service(place, "s3", [store.key_arn] if store.key_arn else [], ("kms:Decrypt", "kms:GenerateDataKey")),
    )


def verify_task(place: Place, store: Store) -> Document:
    """What the one-shot task that verifies may do: read its job. Everything else it asks of the server, as users do."""
    return document(
        {
            "Sid": "ReadJob",
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": place.bucket_arn(store.bucket, f"/{store.prefix(JOBS)}/*"),
        },
        _through_service(place, "s3", [store.key_arn] if store.key_arn else [], ("kms:Decrypt",)),
    )


def data_bucket(place: Place, store: Store, *, server_role_arn: str) -> Document:
    """The bucket's own policy: TLS only, and `_backend/` closed to the server whatever its role is granted."""
    whole = [place.bucket_arn(store.bucket), place.bucket_arn(store.bucket, "/*")]
    return document(
        _tls_only(whole),
        {
            "Sid": "KeepServerOutOfBackend",
            "Effect": "Deny",
            "Principal": {"AWS": server_role_arn},
            "Action": "s3:*",
            "Resource": place.bucket_arn(store.bucket, f"/{store.prefix(BACKEND)}/*"),
        },
    )


def logs_bucket(place: Place, *, bucket: str, data_bucket_arn: str | None) -> Document:
    """The log bucket's policy: TLS only, and each log writer its own prefix.

    `data_bucket_arn` is None while the data bucket keeps no access logs.
    """
    data_writer = {
        "Sid": "WriteBucketLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": place.bucket_arn(bucket, "/data/*"),
        "Condition": {
            "ArnLike": {"aws:SourceArn": data_bucket_arn},
            "StringEquals": {"aws:SourceAccount": place.account},
        },
    }
    return document(
        _tls_only([place.bucket_arn(bucket), place.bucket_arn(bucket, "/*")]),
        {
            "Sid": "WriteBalancerLogs",
            "Effect": "Allow",
            "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
            "Action": "s3:PutObject",
            # No condition on aws:SourceArn: whether it comes with the test file that AWS writes before it accepts the
            # attribute is documented nowhere, and without it no balancer could be made. The path holds the account.
            "Resource": place.bucket_arn(bucket, f"/balancer/AWSLogs/{place.account}/*"),
        },
        data_writer if data_bucket_arn else None,
    )


def key(place: Place, *, log_group_arns: Sequence[str]) -> Document:
    """The KMS key's policy: IAM decides within the account, and the two services that act on their own are let in."""
    return document(
        {
            "Sid": "AccountDecides",
            "Effect": "Allow",
            "Principal": {"AWS": place.global_arn("iam", "root")},
            "Action": "kms:*",
            "Resource": "*",
        },
        {
            "Sid": "EncryptLogs",
            "Effect": "Allow",
            "Principal": {"Service": f"logs.{place.region}.{place.domain}"},
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
            "Condition": {"StringEquals": {"aws:SourceAccount": place.account}},
        },
    )


def topic(place: Place, *, topic_arn: str) -> Document:
    """The alarm topic's policy: this account's alarms may publish."""
    return document(
        {
            "Sid": "AlarmsOfThisAccount",
            "Effect": "Allow",
            "Principal": {"Service": "cloudwatch.amazonaws.com"},
            "Action": "sns:Publish",
            "Resource": topic_arn,
            "Condition": {
                "ArnLike": {"aws:SourceArn": place.arn("cloudwatch", "alarm:*")},
                "StringEquals": {"aws:SourceAccount": place.account},
            },
        }
    )


def repository_arn(settings: Settings, place: Place) -> str | None:
    """Return the ARN of the ECR repository that the image is in; None for an image elsewhere.

    A name that is no image's is left to preflight, which says so with the setting.
    """
    try:
        reference = parse(settings.server.image or "")
    except NotAReference:
        return None
    if reference.ecr is None:
        return None
    account, region = reference.ecr
    return f"arn:{place.partition}:ecr:{region}:{account}:repository/{reference.repository}"


def _pull(repository_arn: str | None) -> tuple[Statement, ...]:
    if repository_arn is None:
        return ()
    return (
        {
            "Sid": "AskForRegistryToken",
            "Effect": "Allow",
            "Action": "ecr:GetAuthorizationToken",
            # The action knows no resource (service authorization reference, Amazon ECR).
            "Resource": "*",
        },
        {
            "Sid": "PullImage",
            "Effect": "Allow",
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": repository_arn,
        },
    )


def _objects(place: Place, store: Store, part: str) -> tuple[Statement, ...]:
    prefix = store.prefix(part)
    return (
        {
            # On the bucket's ARN: granted on `bucket/*` it grants nothing, and a real deployment was denied exactly
            # this, hours after a green update.
            "Sid": "ListOwnPrefix",
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": place.bucket_arn(store.bucket),
            "Condition": {"StringLike": {"s3:prefix": [prefix, f"{prefix}/*"]}},
        },
        {
            "Sid": "UseOwnObjects",
            "Effect": "Allow",
            "Action": list(_OBJECT_ACTIONS),
            "Resource": place.bucket_arn(store.bucket, f"/{prefix}/*"),
        },
    )


def _keep_out(place: Place, store: Store) -> tuple[Statement, ...]:
    prefix = store.prefix(BACKEND)
    return (
        {
            "Sid": "NeverTheBackendsOwnObjects",
            "Effect": "Deny",
            "Action": "s3:*",
            "Resource": place.bucket_arn(store.bucket, f"/{prefix}/*"),
        },
        {
            "Sid": "NeverTheBackendsOwnNames",
            "Effect": "Deny",
            "Action": "s3:ListBucket",
            "Resource": place.bucket_arn(store.bucket),
            "Condition": {"StringLike": {"s3:prefix": [prefix, f"{prefix}/*"]}},
        },
    )


def _through_service(place: Place, service: str, keys: Sequence[str], actions: Sequence[str]) -> Statement | None:
    if not keys:
        return None
    return {
        "Sid": f"UseKeyThrough{_SERVICES[service]}",
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": sorted(set(keys)),
        "Condition": {"StringEquals": {"kms:ViaService": f"{service}.{place.region}.{place.domain}"}},
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
