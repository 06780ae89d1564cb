"""Objects in S3 or Google Cloud Storage, written and read as streams: a dump in a cloud never touches a local disk.

An object is there completely or not at all: what was written so far is given up when the writer's block fails.
"""

from __future__ import annotations

import importlib
import json
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from mlflow_backend_server.db.folder import READ_BYTES, FolderStore
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: S3 takes at most 10,000 parts, so this allows dumps of 320 GB and costs that much memory once.
PART_BYTES = 32 * 1024 * 1024
PARTS_LIMIT = 10_000


class Store(Protocol):
    """One location in an object store, such as `s3://bucket/prefix`."""

    def writing(self, name: str) -> Any:
        """Context of a function that appends bytes to the object `name`; the object appears when the block ends."""

    def reading(self, name: str) -> Iterator[bytes]:
        """Yield the object's bytes in pieces."""


def open_store(address: str) -> Store:
    """Return the location that `address` names.

    Raises ToolError USAGE for an address that is neither `s3://`, `gs://` nor `file:///`.
    """
    parts = urlsplit(address)
    location = {"bucket": parts.netloc, "prefix": parts.path.strip("/")}
    if parts.scheme == "s3" and parts.netloc:
        return S3Store(client=_s3_client(), **location)
    if parts.scheme == "gs" and parts.netloc:
        return GoogleStore(**location)
    if parts.scheme == "file" and not parts.netloc:
        return FolderStore.at(parts.path)
    raise ToolError(ExitCode.USAGE, f"'{address}' is no address of an object store.", "Write s3://bucket/prefix.")


def write_json(store: Store, name: str, content: dict[str, Any]) -> None:
    """Write one small object."""
    with store.writing(name) as write:
        write(json.dumps(content, indent=2).encode())


def read_json(store: Store, name: str) -> dict[str, Any]:
    """Read one small object."""
    content: dict[str, Any] = json.loads(b"".join(store.reading(name)))
    return content


@dataclass(frozen=True, kw_only=True)
class S3Store:
    """A prefix in a bucket of S3 or of a store that speaks its API."""

    client: Any
    bucket: str
    prefix: str

    @contextmanager
    def writing(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Append to the object by multipart upload, aborted when the block fails."""
        location = {"Bucket": self.bucket, "Key": f"{self.prefix}/{name}"}
        with _store_errors(f"s3://{self.bucket}/{location['Key']}"):
            upload = {**location, "UploadId": self.client.create_multipart_upload(**location)["UploadId"]}
            parts = _Parts(client=self.client, upload=upload)
            try:
                yield parts.write
                parts.flush(last=True)
                self.client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts.done})
            except BaseException:
                self.client.abort_multipart_upload(**upload)
                raise

    def reading(self, name: str) -> Iterator[bytes]:
        """Yield the object's bytes in pieces."""
        key = f"{self.prefix}/{name}"
        with _store_errors(f"s3://{self.bucket}/{key}"):
            yield from self.client.get_object(Bucket=self.bucket, Key=key)["Body"].iter_chunks(READ_BYTES)


class _Parts:
    """The parts of one multipart upload, each sent when it is full."""

    def __init__(self, *, client: Any, upload: dict[str, str]) -> None:
        self._client, self._upload, self._buffer = client, upload, bytearray()
        self.done: list[dict[str, Any]] = []

    def write(self, piece: bytes) -> None:
        self._buffer += piece
        self.flush(last=False)

    def flush(self, *, last: bool) -> None:
        while len(self._buffer) >= PART_BYTES or (last and (self._buffer or not self.done)):
            number = len(self.done) + 1
            if number > PARTS_LIMIT:
                limit = PARTS_LIMIT * PART_BYTES // 1024**3
                raise ToolError(
                    ExitCode.UNSUPPORTED, f"The dump is larger than {limit} GB.", "Use the platform's snapshots."
                )
            part = bytes(self._buffer[:PART_BYTES])
            answer = self._client.upload_part(**self._upload, PartNumber=number, Body=part)
            self.done.append({"ETag": answer["ETag"], "PartNumber": number})
            del self._buffer[:PART_BYTES]


@dataclass(frozen=True, kw_only=True)
class GoogleStore:
    """A prefix in a bucket of Google Cloud Storage, with the credentials of the surroundings."""

    bucket: str
    prefix: str

    @contextmanager
    def writing(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Append to the object by resumable upload, given up when the block fails."""
        with _store_errors(f"gs://{self.bucket}/{self.prefix}/{name}"):
            writer = self._blob(name).open("wb", chunk_size=PART_BYTES, ignore_flush=True)
            try:
                yield writer.write
            except BaseException:
                writer.terminate()
                raise
            writer.close()

    def reading(self, name: str) -> Iterator[bytes]:
        """Yield the object's bytes in pieces."""
        with _store_errors(f"gs://{self.bucket}/{self.prefix}/{name}"), self._blob(name).open("rb") as reader:
            while piece := reader.read(READ_BYTES):
                yield piece

    def _blob(self, name: str) -> Any:
        storage = importlib.import_module("google.cloud.storage")
        return storage.Client().bucket(self.bucket).blob(f"{self.prefix}/{name}")


def _s3_client() -> Any:
    import boto3
    from botocore.config import Config

    retries: Any = {"mode": "standard", "max_attempts": 5}
    config = Config(connect_timeout=10, read_timeout=60, retries=retries)
    return boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"), config=config)


@contextmanager
def _store_errors(address: str) -> Iterator[None]:
    """Turn a store's own errors into ToolError UNREACHABLE; others pass."""
    try:
        yield
    except ToolError:
        raise
    except Exception as error:
        module = type(error).__module__.partition(".")[0]
        if module not in {"botocore", "boto3", "s3transfer", "google", "urllib3", "requests"}:
            raise
        cause = " ".join(str(error).split())
        fix = "Check that the bucket exists and that this task may read and write under the prefix."
        raise ToolError(ExitCode.UNREACHABLE, f"{address} cannot be used: {cause}.", fix) from error
