"""The resources that hold what cannot be made again. Pure.

A replacement or deletion of one of these loses data or a secret that something else was encrypted with, so a report
says it first, and the policy pack asks that they are protected.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from mlflow_backend import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping

PROTECTED: Final[Mapping[str, str]] = MappingProxyType({
    "aws:rds/instance:Instance": "the database, with every run and model that MLflow has recorded",
    "aws:s3/bucket:Bucket": "artifacts, dumps of the database and the ledger",
    "aws:kms/key:Key": "the key without which encrypted data cannot be read again",
})  # fmt: skip
"""Type -> what is lost with it; outside dev each is protected against deletion (policy `stateful-protected`)."""

STATEFUL: Final[Mapping[str, str]] = MappingProxyType({
    **PROTECTED,
    "aws:elasticache/replicationGroup:ReplicationGroup": "the job queue and rate limits in the cache",
    "aws:secretsmanager/secret:Secret": "a secret that running servers were given",
    "aws:ecr/repository:Repository": "the images that older releases run",
    tokens.AWS_SERVER_SECRETS: "the server's secrets: passwords, session and API keys",
    tokens.AWS_API_KEYS: "the hashes of every API key: each of their users needs a new one",
    tokens.AWS_CACHE_TOKEN: "the cache's password",
    tokens.LOCAL_CREDENTIALS: "the local backend's generated passwords",
})  # fmt: skip
"""Type -> what is lost with a resource of it. A local service's data outlives its process, so none is named here."""
