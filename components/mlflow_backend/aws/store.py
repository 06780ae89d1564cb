"""The backend's own objects in S3 (releases.stores.Store), and a lock there that outlives nobody.

S3 creates an object exclusively where it is asked to (`If-None-Match: *`), which is what the ledger rests on; a store
that only pretends to (rclone's answers 200 and overwrites) must not be used here.
"""

from __future__ import annotations

import contextlib
import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.releases.stores import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_s3 import S3Client

# The ledger of a thousand releases is read in well under a second.
_READERS: Final = 16
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_ABSENT: Final = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
# Longer than any migration may take: a lock that ends under its holder lets a second writer in.
LEASE: Final = timedelta(hours=8)


class S3Store:
    """A store in one bucket, below `root` ('' for the bucket itself). A bucket that is not there holds nothing."""

    def __init__(self, client: S3Client, *, bucket: str, root: str = "") -> None:
        """Name the place; nothing is read yet."""
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
        """Write an object; False where the key exists."""
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
        """Delete an object; nothing happens where it is not there."""
        with self._explained(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None where it is not there."""
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

    @contextlib.contextmanager
    def locked(self, name: str, *, by: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> Iterator[None]:
        """Hold the lock `name`. Raises Refused while somebody else holds it, with who and until when.

        A holder that was killed leaves its lock behind; it ends by itself after `LEASE`.
        """
        key, token = f"{ROOT}/locks/{name}.json", uuid.uuid4().hex
        content = json.dumps({"token": token, "by": by, "until": (now() + LEASE).isoformat()}).encode()
        if not self.create(key, content):
            self._take_over(key, content, now())
        try:
            yield
        finally:
            self._release(key, token)

    def is_locked(self, name: str, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> bool:
        """Tell whether somebody holds the lock `name`; a killed holder does until its lease ends."""
        held = self._read(f"{ROOT}/locks/{name}.json")
        return held is not None and datetime.fromisoformat(json.loads(held)["until"]) > now()

    def _take_over(self, key: str, content: bytes, now: datetime) -> None:
        with self._explained(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
            held = json.loads(answer["Body"].read())
        until = datetime.fromisoformat(held["until"])
        # Only the very lock that was seen to have ended: of two who see it, one takes it.
        if until > now or not self._put_if(key, content, IfMatch=answer["ETag"]):
            raise Refused(
                f"Another command of {held['by']} works on this backend; its lock ends {until:%Y-%m-%d %H:%M} UTC.",
                code="backend-locked",
                fix=f"Let it end. If it was killed, delete s3://{self._bucket}/{self._key(key)}.",
            )

    def _release(self, key: str, token: str) -> None:
        held = self._read(key)
        if held is not None and json.loads(held)["token"] == token:
            with self._explained(key):
                self._client.delete_object(Bucket=self._bucket, Key=self._key(key))

    def _read(self, key: str) -> bytes | None:
        with self._explained(key):
            try:
                return self._client.get_object(Bucket=self._bucket, Key=self._key(key))["Body"].read()
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
                return None

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

        place = f"s3://{self._bucket}/{self._key(key)}"
        try:
            yield
        except ClientError as error:
            raise PlatformFailed(
                f"S3 answered {_code(error)}",
                code="store-denied",
                fix="Allow the deployer this prefix, and repeat",
                part=place,
            ) from None
        except BotoCoreError as error:
            raise PlatformFailed(
                f"S3 cannot be asked ({type(error).__name__})",
                code="store-unreachable",
                fix="Log in to AWS, and repeat",
                part=place,
            ) from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
