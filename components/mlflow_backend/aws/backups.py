"""A bucket of S3 as the destination of backups (backup.destination.Destination), with the caller's own credentials.

Objects are created with `If-None-Match: *`, so that a role which may neither overwrite nor delete is enough.
"""

from __future__ import annotations

import hashlib
import tempfile
from typing import IO, TYPE_CHECKING, Any, Final

from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup.artifacts import StoredFile
from mlflow_backend.backup.destination import Listed, Written, refuse_other_size
from mlflow_backend.backup.objects import ObjectArtifacts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Write = Callable[[bytes], object]

_PART_BYTES: Final = 64 * 1024 * 1024
"""S3 takes at most 10,000 parts, and 5 GiB in one request."""


class BucketDestination(S3Store):
    """The objects of one stack's backups, below `root` of a bucket."""

    @property
    def name(self) -> str:
        """The address."""
        return self.address("")

    def listing(self, prefix: str) -> tuple[Listed, ...]:
        """Return every object below `prefix`."""
        return tuple(
            Listed(key=key, size_bytes=item["Size"], written_at=item["LastModified"])
            for key, item in self.items(f"{prefix}/")
        )

    def items(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield each key that begins so, with what S3 says of its object."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._key(prefix))
        for page in self._ask(prefix, list, pages):
            yield from ((item["Key"].removeprefix(self._prefix), item) for item in page.get("Contents", []))

    def files(self) -> Iterator[StoredFile]:
        """Give every object, with its ETag."""
        for path, item in self.items():
            yield StoredFile(path=path, size_bytes=item["Size"], stamp=item["ETag"].strip('"'))

    def write(self, key: str | Callable[[str], str], fill: Callable[[Write], object]) -> Written:
        """Create one object, which is first collected in a temporary file: its key may depend on its content."""
        with tempfile.TemporaryFile() as stream:
            digest, size = hashlib.sha256(), 0

            def write(piece: bytes) -> None:
                nonlocal size
                digest.update(piece)
                size += len(piece)
                stream.write(piece)

            fill(write)
            stream.seek(0)
            wanted = key if isinstance(key, str) else key(digest.hexdigest())
            there = self.size(wanted)
            if there is None and not self._upload(wanted, stream, size):
                there = self.size(wanted)
            if there is not None:
                refuse_other_size(wanted, there, size)
            return Written(key=wanted, size_bytes=size, sha256=digest.hexdigest())

    def clear(self, prefix: str) -> None:
        """Delete every object below `prefix`."""
        for each in self.listing(prefix):
            self.delete(each.key)

    def clear_unfinished(self) -> None:
        """Do nothing: an upload that was interrupted is no object, and the bucket's lifecycle ends it."""

    def _upload(self, key: str, stream: IO[bytes], size: int) -> bool:
        """Upload a file; False if somebody else created the object meanwhile."""
        if size <= _PART_BYTES:
            return self.create(key, stream.read())
        begun = self._ask(key, self._client.create_multipart_upload, **self._at(key))
        upload = {**self._at(key), "UploadId": begun["UploadId"]}
        created = False
        try:
            created = self._in_parts(key, upload, stream)
        finally:
            if not created:
                self._ask(key, self._client.abort_multipart_upload, **upload)
        return created

    def _in_parts(self, key: str, upload: dict[str, Any], stream: IO[bytes]) -> bool:
        parts: list[dict[str, Any]] = []
        while piece := stream.read(_PART_BYTES):
            number = len(parts) + 1
            answer = self._ask(key, self._client.upload_part, **upload, PartNumber=number, Body=piece)
            parts.append({"ETag": answer["ETag"], "PartNumber": number})
        return self._created(key, self._client.complete_multipart_upload, **upload, MultipartUpload={"Parts": parts})


class BucketArtifacts(ObjectArtifacts):
    """The artifacts of a backend whose store is on S3 (backup.source.Artifacts)."""

    def __init__(self, client: Any, *, bucket: str, root: str) -> None:
        """Name the artifacts' root; nothing is asked yet."""
        super().__init__(BucketDestination(client, bucket=bucket, root=root))
