"""The bucket: where artifacts and the backend's own records lie, and how long old versions stay. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.report.quantities import Billing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

BACKEND: Final = "_backend"
DUMPS: Final = f"{BACKEND}/dumps"
VERIFY: Final = f"{BACKEND}/verify"
"""Where a verification's job lies until it has been read."""
_SECONDS_A_DAY: Final = 86_400
_SOFT_DELETE_DAYS: Final = 7
# A part of an upload that was given up is invisible and paid for.
_ABORTED_UPLOAD_DAYS: Final = 7


def store(settings: Settings, naming: Naming) -> GcsRoot:
    """Return the bucket that is created or adopted."""
    existing = settings.artifacts.existing
    if existing is None:
        return GcsRoot(bucket=naming.bucket())
    return GcsRoot.at(existing)


def bucket(settings: Settings, naming: Naming, *, protect: bool) -> dict[str, Any]:
    """Return the body of the bucket; nothing current ever expires."""
    wanted = settings.gcp.artifacts
    body: dict[str, Any] = {
        "name": naming.bucket(),
        "location": naming.region.upper(),
        "storageClass": "STANDARD",
        "iamConfiguration": {
            "uniformBucketLevelAccess": {"enabled": True},
            "publicAccessPrevention": "enforced",
        },
        "versioning": {"enabled": True},
        "softDeletePolicy": {"retentionDurationSeconds": str(_SOFT_DELETE_DAYS * _SECONDS_A_DAY if protect else 0)},
        "lifecycle": {
            "rule": [
                {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": wanted.old_version_days}},
                {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": _ABORTED_UPLOAD_DAYS}},
            ]
        },
        "labels": naming.labels(settings.tags),
    }
    if wanted.key is not None:
        body["encryption"] = {"defaultKmsKeyName": wanted.key}
    return body


BILLING: Final[Mapping[str, Billing]] = {
    "gcp:storage/bucket:Bucket": Billing(
        by_use=("objects kept and their older versions", "requests to Cloud Storage"),
    ),
}
