"""Stacks to preview in the account of the rig, and what a preview of them needs there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import pytest

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.store import S3Store
from mlflow_backend.releases import ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.schema_tables import required_heads
from tests.rig import contents
from tests.rig.aws.scene import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.rig.aws.rig import AwsRig
    from tests.rig.aws.stack import AwsStack


_BOTH: Final = ("linux/amd64", "linux/arm64")


class Account:
    """An account that has nothing but images, and the stacks that ask for them."""

    def __init__(self, rig: AwsRig, dev: AwsStack, staging: AwsStack) -> None:
        """Take the stacks; nothing is deployed."""
        self.rig, self.dev, self.staging = rig, dev, staging
        self._published = 0

    def push(self, *, platforms: Sequence[str] = _BOTH, index: bool = True, version: str = VERSION) -> str:
        """Push another image, and return its digest; `dev` asks for it by a tag of its own, `staging` by the digest."""
        self._published += 1
        tag, labels = f"preview-{self._published}", contents.labels(version)
        name = self.rig.images.publish(tag, contents.small(), labels=labels, platforms=platforms, index=index)
        self.dev.write_settings(server={"image": f"{name.partition('@')[0]}:{tag}"})
        # It is protected, so that a tag is refused.
        self.staging.write_settings(server={"image": name})
        return name.partition("@")[2]

    def verified(self, digest: str, *, ago: timedelta) -> None:
        """Write into the ledger of `dev` that an image was verified so long ago."""
        naming = Naming(project="mlflow-backend", stack="dev", account=self.rig.account, region=self.rig.region)
        s3, bucket = self.rig.client("s3"), naming.bucket("data")
        if bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": self.rig.region})
        heads = required_heads(VERSION, auth=True)
        assert heads is not None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ledger, "_now", lambda: datetime.now(UTC) - ago)
            ledger.Ledger(S3Store(s3, bucket=bucket), by="a test").add_release(
                VerifiedRelease(
                    target="ecs", revision="1", mlflow_version=VERSION, image_digest=digest, heads=heads,
                    settings_hash="h", verification_id="v", verdict="pass",
                )
            )  # fmt: skip


def certify(rig: AwsRig, staging: AwsStack) -> None:
    """Give the account a certificate for the URL of `staging`, and its settings the certificate."""
    host = str(staging.settings["network"]["publicUrl"]).partition("://")[2]
    with pytest.MonkeyPatch.context() as patch:
        # A minute otherwise, in which a certificate waits for its validation.
        patch.setattr("moto.settings.ACM_VALIDATION_WAIT", -1)
        certificates = rig.client("acm")
        arn = certificates.request_certificate(DomainName=host, ValidationMethod="DNS")["CertificateArn"]
        certificates.describe_certificate(CertificateArn=arn)
    network = {**staging.settings["aws"]["network"], "certificate": arn}
    staging.write_settings(aws={"network": network})
