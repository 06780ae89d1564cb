"""The backend's KMS key and buckets as one component.

Owns the wiring; policies and lifecycles are decided in `render`. An adopted bucket is left as it is: its encryption,
versioning and lifecycle are its owner's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.naming import LOG_GROUPS
from mlflow_backend.aws.render import policies, storage
from mlflow_backend.aws.render.database import protected
from mlflow_backend.tokens import AWS_STORAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.aws.render.policies import S3Root
    from mlflow_backend.aws.render.storage import Lifecycle
    from mlflow_backend.aws.scope import Scope

_KEY_DELETION_DAYS = 30


class Storage(pulumi.ComponentResource):
    """The buckets and the key that encrypts them. `store` is the data bucket as roles see it.

    Attributes: `key_arn`, `bucket` (None for an adopted one), `store`, `logs_bucket` (None if nothing is logged).
    """

    def __init__(self, name: str, scope: Scope, *, opts: pulumi.ResourceOptions | None = None) -> None:
        """Take the backend whose data it is."""
        super().__init__(AWS_STORAGE, name, None, opts)
        settings, naming = scope.settings, scope.naming
        self._name, self._settings, self._naming = name, settings, naming
        self._child = pulumi.ResourceOptions(parent=self)
        self._kept = pulumi.ResourceOptions(parent=self, protect=protected(settings))
        self.key_arn = self._make_key()
        plan = storage.store(settings, naming)
        self.bucket: aws.s3.Bucket | None = None
        self.store: pulumi.Output[S3Root]
        self.logs_bucket = self._make_logs() if storage.keeps_logs(settings) else None
        if settings.artifacts.mode == "create":
            self.bucket = self._make_data(plan.bucket)
            self.store = pulumi.Output.all(self.bucket.bucket, self.key_arn).apply(
                lambda found: replace(plan, bucket=found[0], key_arn=found[1])
            )
        else:
            self.store = pulumi.Output.from_input(plan)
        self.register_outputs({"keyArn": self.key_arn, "bucket": self.store.apply(lambda store: store.bucket)})

    def admit(self, server_role: aws.iam.Role) -> None:
        """Put the data bucket's own policy in force, which names the server's role; an adopted bucket has its own."""
        if self.bucket is None:
            return
        naming = self._naming
        policy = pulumi.Output.all(self.store, server_role.arn).apply(
            lambda found: policies.text(policies.data_bucket(naming, found[0], server_role_arn=found[1]))
        )
        aws.s3.BucketPolicy(f"{self._name}-data", bucket=self.bucket.id, policy=policy, opts=self._child)

    def _make_key(self) -> pulumi.Output[str]:
        groups = [self._naming.log_group_arn(part) for part in LOG_GROUPS]
        key = aws.kms.Key(
            f"{self._name}-key",
            description=f"Data of {self._naming.cluster()}",
            policy=policies.text(policies.key(self._naming, log_group_arns=groups)),
            enable_key_rotation=True,
            deletion_window_in_days=_KEY_DELETION_DAYS,
            # What a protected backend leaves, its last snapshot above all, cannot be read again without it.
            opts=pulumi.ResourceOptions.merge(
                self._kept, pulumi.ResourceOptions(retain_on_delete=protected(self._settings))
            ),
        )
        aws.kms.Alias(f"{self._name}-key", name=self._naming.key_alias(), target_key_id=key.key_id, opts=self._child)
        return key.arn

    def _make_data(self, bucket_name: str) -> aws.s3.Bucket:
        bucket = aws.s3.Bucket(
            f"{self._name}-data",
            bucket=bucket_name,
            # An unprotected backend is destroyable with what is in it.
            force_destroy=not protected(self._settings),
            opts=self._kept,
        )
        aws.s3.BucketVersioning(
            f"{self._name}-data",
            bucket=bucket.id,
            versioning_configuration={"status": "Enabled"},
            opts=self._child,
        )
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{self._name}-data",
            bucket=bucket.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": self.key_arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=self._child,
        )
        self._close(bucket, "data")
        self._expire(bucket, "data", storage.data_lifecycle(self._settings))
        if self._settings.aws.artifacts.access_logs and self.logs_bucket is not None:
            aws.s3.BucketLogging(
                f"{self._name}-data",
                bucket=bucket.id,
                target_bucket=self.logs_bucket,
                target_prefix="data/",
                opts=self._child,
            )
        return bucket

    def _make_logs(self) -> pulumi.Output[str]:
        bucket = aws.s3.Bucket(
            f"{self._name}-logs", bucket=self._naming.bucket("logs"), force_destroy=True, opts=self._child
        )
        # The balancer's log delivery knows S3's own keys only (Elastic Load Balancing user guide, 'Access logs').
        aws.s3.BucketServerSideEncryptionConfiguration(
            f"{self._name}-logs",
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=self._child,
        )
        self._close(bucket, "logs")
        self._expire(bucket, "logs", storage.logs_lifecycle(self._settings))
        logged = self._settings.aws.artifacts.access_logs and self._settings.artifacts.mode == "create"
        document = policies.logs_bucket(
            self._naming,
            bucket=self._naming.bucket("logs"),
            data_bucket_arn=self._naming.bucket_arn(self._naming.bucket("data")) if logged else None,
        )
        policy = aws.s3.BucketPolicy(
            f"{self._name}-logs", bucket=bucket.id, policy=policies.text(document), opts=self._child
        )
        # A balancer is refused a bucket whose policy is not in force yet.
        return pulumi.Output.all(bucket.bucket, policy.id).apply(lambda found: str(found[0]))

    def _close(self, bucket: aws.s3.Bucket, part: str) -> None:
        aws.s3.BucketPublicAccessBlock(
            f"{self._name}-{part}",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=self._child,
        )
        aws.s3.BucketOwnershipControls(
            f"{self._name}-{part}",
            bucket=bucket.id,
            rule={"object_ownership": "BucketOwnerEnforced"},
            opts=self._child,
        )

    def _expire(self, bucket: aws.s3.Bucket, part: str, rules: Sequence[Lifecycle]) -> None:
        aws.s3.BucketLifecycleConfiguration(
            f"{self._name}-{part}",
            bucket=bucket.id,
            rules=[_lifecycle_rule(rule) for rule in rules],
            opts=self._child,
        )


def _lifecycle_rule(rule: Lifecycle) -> aws.s3.BucketLifecycleConfigurationRuleArgs:
    args = aws.s3.BucketLifecycleConfigurationRuleArgs(
        id=rule.name,
        status="Enabled",
        filter=aws.s3.BucketLifecycleConfigurationRuleFilterArgs(prefix=rule.prefix),
    )
    if rule.old_version_days is not None:
        args.noncurrent_version_expiration = aws.s3.BucketLifecycleConfigurationRuleNoncurrentVersionExpirationArgs(
            noncurrent_days=rule.old_version_days
        )
    if rule.expire_days is not None:
        args.expiration = aws.s3.BucketLifecycleConfigurationRuleExpirationArgs(days=rule.expire_days)
    if rule.aborted_upload_days is not None:
        args.abort_incomplete_multipart_upload = (
            aws.s3.BucketLifecycleConfigurationRuleAbortIncompleteMultipartUploadArgs(
                days_after_initiation=rule.aborted_upload_days
            )
        )
    return args
