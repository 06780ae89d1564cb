"""The root of a backend, or of a stack's backups, in a bucket of Cloud Storage. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_backend.bucket_root import BucketRoot


@dataclass(frozen=True, kw_only=True)
class GcsRoot(BucketRoot):
    """A root in a bucket of Cloud Storage."""

    scheme = "gs://"
