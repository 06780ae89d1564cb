"""The backend's own objects in S3 (releases.stores.Store).

S3 creates an object exclusively if it is asked to (`If-None-Match: *`), which is what the ledger rests on; a store
that only pretends to (rclone's answers 200 and overwrites) must not be used here.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases import lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mypy_boto3_s3 import S3Client

# The ledger of a thousand releases is read in well under a second.
_READERS: Final = 16
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
_NO_BUCKET: Final = frozenset({"NoSuchBucket"})
_DENIED: Final = ("store-denied", "Let this role list, read and write at this address, and repeat")
_UNREACHABLE: Final = ("store-unreachable", "Log in to AWS, and repeat")
_CHUNK: Final = 1 << 20


FETCH: Final = (
    "import boto3,sys;bucket,key=sys.argv[1:3];data=boto3.client('s3').get_object(Bucket=bucket,Key=key)['Body'].read()"
)
"""Python statements by which a task reads an object of a bucket (target.OneShot)."""


class S3Store:
    """A store in one bucket, below `root` ('' for the bucket itself). A bucket that is not there holds nothing."""

    def __init__(self, client: S3Client, *, bucket: str, root: str = "") -> None:
        """Name where it is; nothing is read yet."""
        self._client, self._bucket = client, bucket
        self._prefix = f"{root}/" if root else ""

    def keys(self, prefix: str) -> Sequence[str]:
        """Return the keys right below `prefix`."""
        below: dict[str, Any] = {"Bucket": self._bucket, "Prefix": f"{self._prefix}{prefix}/", "Delimiter": "/"}
        pages = self._client.get_paginator("list_objects_v2").paginate(**below)
        found = self._ask(prefix, list, pages, but=_NO_BUCKET) or ()
        return tuple(item["Key"].removeprefix(self._prefix) for page in found for item in page.get("Contents", []))

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the objects of these keys."""
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            found = list(pool.map(self.read_tagged, keys))
        return {key: tagged[0] for key, tagged in zip(keys, found, strict=True) if tagged is not None}

    def create(self, key: str, content: bytes) -> bool:
        """Write an object; False if the key exists."""
        return self._put(key, content, IfNoneMatch="*")

    def replace(self, key: str, content: bytes) -> None:
        """Write an object, whether it exists or not."""
        self._put(key, content)

    def move(self, key: str, to: str) -> None:
        """Give an object another key: S3 copies, then deletes, and an interrupted move can be repeated."""
        self._ask(key, self._client.copy_object, **self._at(to), CopySource=self._at(key))
        self.delete(key)

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it is not there."""
        self._ask(key, self._client.delete_object, **self._at(key))

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if it is not there."""
        found = self._ask(key, self._client.head_object, but=_ABSENT, **self._at(key))
        return None if found is None else int(found["ContentLength"])

    def chunks(self, key: str) -> Iterator[bytes]:
        """Return an object's content piece by piece."""
        pieces = self._ask(key, self._client.get_object, **self._at(key))["Body"].iter_chunks(_CHUNK)
        yield from iter(lambda: self._ask(key, next, pieces, None), None)

    def locked(self, name: str, *, by: str, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock `name` by a lease, which is not waited for: its holder may have been killed."""
        del wait_s
        return lease.leased(self, name, by=by)

    def is_locked(self, name: str) -> bool:
        """Return whether somebody holds the lock `name`; one that was killed elsewhere does until its lease ends."""
        return lease.is_leased(self, name)

    def address(self, key: str) -> str:
        """Return an object's address in S3."""
        return f"s3://{self._bucket}/{self._key(key)}"

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """Return an object and its entity tag; None if it is not there."""
        found = self._ask(key, self._client.get_object, but=_ABSENT, **self._at(key))
        return None if found is None else (self._ask(key, found["Body"].read), found["ETag"])

    def replace_if(self, key: str, content: bytes, *, tag: str) -> bool:
        """Replace an object; False if it does not have this entity tag any more."""
        return self._put(key, content, IfMatch=tag)

    def _put(self, key: str, content: bytes, **condition: str) -> bool:
        """Write an object; False if the condition does not hold."""
        but = _TAKEN if condition else frozenset[str]()
        return self._ask(key, self._client.put_object, but=but, **self._at(key), Body=content, **condition) is not None

    def _created(self, key: str, operation: Callable[..., Any], **arguments: Any) -> bool:
        """Create an object by an operation that takes a condition; False if the key exists."""
        return self._ask(key, operation, but=_TAKEN, IfNoneMatch="*", **arguments) is not None

    def _key(self, key: str) -> str:
        return f"{self._prefix}{key}"

    def _at(self, key: str) -> dict[str, Any]:
        return {"Bucket": self._bucket, "Key": self._key(key)}

    def _ask(
        self,
        key: str,
        operation: Callable[..., Any],
        *positional: Any,
        but: frozenset[str] = frozenset(),
        **arguments: Any,
    ) -> Any:
        """Return S3's answer; None if its answer is one of the codes `but`. Raises PlatformFailed for any other."""
        answer = asked(operation, *positional, **arguments)
        if not isinstance(answer, Unanswered):
            return answer
        if answer.why in but:
            return None
        if answer.why in _NO_BUCKET:
            raise PlatformFailed(
                "there is no bucket of this name",
                code="s3-bucket-gone",
                fix="See who deleted it; make it again, or name another one",
                part=self.address(""),
            )
        code, fix = _DENIED if answer.connected else _UNREACHABLE
        raise PlatformFailed(answer.of("S3"), code=code, fix=fix, part=self.address(key))
