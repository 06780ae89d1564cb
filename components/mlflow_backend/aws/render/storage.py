"""The buckets: where artifacts and the backend's own records lie, and how long old versions stay. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.policies import S3Root
from mlflow_backend.report.quantities import MONTH, Billing, one

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

# A part of an upload that was given up is invisible and paid for.
ABORTED_UPLOAD_DAYS: Final = 7


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """One rule of a bucket; days count from when an object became old or was written."""

    name: str
    prefix: str
    old_version_days: int | None = None
    expire_days: int | None = None
    aborted_upload_days: int | None = None


def store(settings: Settings, naming: Naming) -> S3Root:
    """Return the bucket as roles see it; a created one's key is not known before it is made."""
    existing = settings.artifacts.existing
    if existing is None:
        return S3Root(bucket=naming.bucket("data"))
    return replace(S3Root.at(existing), key_arn=settings.aws.artifacts.key)


def data_lifecycle(settings: Settings) -> tuple[Lifecycle, ...]:
    """Return the rules of the data bucket: nothing current ever expires."""
    return (
        Lifecycle(name="old-versions", prefix="", old_version_days=settings.aws.artifacts.old_version_days),
        Lifecycle(name="aborted-uploads", prefix="", aborted_upload_days=ABORTED_UPLOAD_DAYS),
    )


def logs_lifecycle(settings: Settings) -> tuple[Lifecycle, ...]:
    """Return the rules of the log bucket."""
    days = settings.aws.monitoring.log_retention_days
    return (
        Lifecycle(
            name="expire",
            prefix="",
            expire_days=days,
            old_version_days=1,
            aborted_upload_days=ABORTED_UPLOAD_DAYS,
        ),
    )


def keeps_logs(settings: Settings) -> bool:
    """Whether there is a log bucket."""
    return settings.aws.network.access_logs or (
        settings.aws.artifacts.access_logs and settings.artifacts.mode == "create"
    )


BILLING: Final[Mapping[str, Billing]] = {
    "aws:s3/bucket:Bucket": Billing(by_use=("objects kept and their older versions", "requests to S3")),
    "aws:kms/key:Key": Billing(counted=one("kms-key", "KMS key", "key", MONTH), by_use=("requests to KMS",)),
}
