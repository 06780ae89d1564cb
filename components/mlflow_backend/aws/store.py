"""The backend's own objects in S3 (releases.stores.Store).

S3 creates an object exclusively if it is asked to (`If-None-Match: *`), which is what the ledger rests on; a store
that only pretends to (rclone's answers 200 and overwrites) must not be used here.
"""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases import lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client

# The ledger of a thousand releases is read in well under a second.
_READERS: Final = 16
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


class S3Store:
    """A store in one bucket, below `root` ('' for the bucket itself). A bucket that is not there holds nothing."""

    def __init__(self, client: S3Client, *, bucket: str, root: str = "") -> None:
        """Name where it is; nothing is read yet."""
        self._client, self._bucket = client, bucket
        self._prefix = f"{root}/" if root else ""

    def keys(self, prefix: str) -> Sequence[str]:
        """Return the keys right below `prefix`."""
        found: list[str] = []
        paginator = self._client.get_paginator("list_objects_v2")
        with self._explained(prefix):
            try:
                for page in paginator.paginate(Bucket=self._bucket, Prefix=f"{self._prefix}{prefix}/", Delimiter="/"):
                    found += [item["Key"].removeprefix(self._prefix) for item in page.get("Contents", [])]
            except self._client.exceptions.ClientError as error:
                if _code(error) != "NoSuchBucket":
                    raise
        return tuple(found)

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the objects of these keys."""
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            contents = list(pool.map(self._read, keys))
        return {key: content for key, content in zip(keys, contents, strict=True) if content is not None}

    def create(self, key: str, content: bytes) -> bool:
        """Write an object; False if the key exists."""
        return self._put_if(key, content, IfNoneMatch="*")

    def replace(self, key: str, content: bytes) -> None:
        """Write an object, whether it exists or not."""
        with self._explained(key):
            self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=content)

    def move(self, key: str, to: str) -> None:
        """Give an object another key: S3 copies, then deletes, and an interrupted move can be repeated."""
        with self._explained(key):
            source: Any = {"Bucket": self._bucket, "Key": self._key(key)}
            self._client.copy_object(Bucket=self._bucket, Key=self._key(to), CopySource=source)
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it is not there."""
        with self._explained(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if it is not there."""
        with self._explained(key):
            try:
                return self._client.head_object(Bucket=self._bucket, Key=self._key(key))["ContentLength"]
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
                return None

    def chunks(self, key: str) -> Iterator[bytes]:
        """Return an object's content piece by piece."""
        with self._explained(key):
            yield from self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"].iter_chunks(1 << 20)

    def locked(self, name: str, *, by: str, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock `name` by a lease, which is not waited for: its holder may have been killed."""
        del wait_s
        return lease.leased(self, name, by=by)

    def is_locked(self, name: str) -> bool:
        """Return whether somebody holds the lock `name`; a killed holder does until its lease ends."""
        return lease.is_leased(self, name)

    def address(self, key: str) -> str:
        """Return an object's address in S3."""
        return f"s3://{self._bucket}/{self._key(key)}"

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """Return an object and its entity tag; None if it is not there."""
        with self._explained(key):
            try:
                answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
                return answer["Body"].read(), answer["ETag"]
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
                return None

    def replace_if(self, key: str, content: bytes, *, tag: str) -> bool:
        """Replace an object; False if it does not have this entity tag any more."""
        return self._put_if(key, content, IfMatch=tag)

    def _read(self, key: str) -> bytes | None:
        found = self.read_tagged(key)
        return None if found is None else found[0]

    def _put_if(self, key: str, content: bytes, **condition: Any) -> bool:
        with self._explained(key):
            try:
                self._client.put_object(Bucket=self._bucket, Key=self._key(key), Body=content, **condition)
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _TAKEN:
                    raise
                return False
        return True

    def _key(self, key: str) -> str:
        return f"{self._prefix}{key}"

    @contextlib.contextmanager
    def _explained(self, key: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as mlflow_backend.aws.clients

        try:
            yield
        except ClientError as error:
            raise PlatformFailed(
                f"S3 answered {_code(error)}",
                code="store-denied",
                fix="Allow the deployer this prefix, and repeat",
                part=self.address(key),
            ) from None
        except BotoCoreError as error:
            raise PlatformFailed(
                f"S3 cannot be asked ({type(error).__name__})",
                code="store-unreachable",
                fix="Log in to AWS, and repeat",
                part=self.address(key),
            ) from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
