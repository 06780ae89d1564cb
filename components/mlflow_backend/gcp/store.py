"""The backend's own objects in Cloud Storage (releases.stores.Store).

An object is created exclusively, and replaced only as it was read, by its generation: 0 is that of one that is not
there ('Request preconditions', Cloud Storage).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp.api import CONFLICT, NOT_FOUND, PRECONDITION, STORAGE, GoogleError
from mlflow_backend.releases import lease

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from mlflow_backend.bucket_root import BucketRoot
    from mlflow_backend.gcp.api import Api

# The ledger of a thousand releases is read in seconds.
_READERS: Final = 16
_BYTES: Final = {"Content-Type": "application/octet-stream"}
_CHUNK: Final = 8 << 20
FETCH: Final = (
    "import sys;from google.cloud import storage;bucket,key=sys.argv[1:3];"
    "data=storage.Client().bucket(bucket).blob(key).download_as_bytes()"
)
"""Python statements by which a job reads an object of a bucket (target.OneShot)."""
_TAKEN: Final = frozenset({PRECONDITION, CONFLICT})
_SIZE_AND_GENERATION: Final = {"fields": "size,generation"}


class GcsStore:
    """A store below a bucket's root. A bucket that is not there holds nothing."""

    def __init__(self, api: Api, root: BucketRoot) -> None:
        """Name where it is; nothing is read yet."""
        self._api, self._root = api, root

    def keys(self, prefix: str) -> Sequence[str]:
        """Return the keys right below `prefix`."""
        return tuple(key for key, _ in self.described(f"{prefix}/", "name", delimiter="/"))

    def described(self, prefix: str, fields: str, *, needed: bool = False, **query: str) -> Iterator[tuple[str, Any]]:
        """Yield each key that begins so, with these fields of its object; `needed`: the bucket has to be there."""
        path, own = f"storage/v1/b/{self._root.bucket}/o", self._root.prefix("")
        asked = {"prefix": self._name(prefix), "fields": f"items({fields}),nextPageToken", **query}
        try:
            for each in self._api.pages(STORAGE, path, "items", asked, needed=needed):
                yield str(each["name"]).removeprefix(own), each
        except GoogleError as error:
            raise (self._gone() if error.status == NOT_FOUND else self._denied(prefix, error)) from None

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Return the objects of these keys."""
        with ThreadPoolExecutor(max_workers=_READERS) as pool:
            found = list(pool.map(self._content, keys))
        return {key: content for key, content in zip(keys, found, strict=True) if content is not None}

    def create(self, key: str, content: bytes) -> bool:
        """Write an object; False if the key exists."""
        return self._put(key, content, _TAKEN, ifGenerationMatch="0")

    def replace(self, key: str, content: bytes) -> None:
        """Write an object, whether it exists or not."""
        self._put(key, content)

    def move(self, key: str, to: str) -> None:
        """Give an object another key: it is copied, then deleted, and an interrupted move can be repeated."""
        path, token = f"{self._at(key)}/rewriteTo/b/{self._root.bucket}/o/{self._quoted(to)}", ""
        while True:
            try:
                again = {"rewriteToken": token} if token else {}
                answer = self._api.call("POST", STORAGE, path, {}, query=again)
            except GoogleError as error:
                raise self._denied(key, error) from None
            if answer.get("done"):
                break
            token = answer["rewriteToken"]
        self.delete(key)

    def delete(self, key: str) -> None:
        """Delete an object; nothing happens if it is not there."""
        try:
            self._api.answer("DELETE", STORAGE, self._at(key))
        except GoogleError as error:
            if error.status != NOT_FOUND:
                raise self._denied(key, error) from None

    def size(self, key: str) -> int | None:
        """Return an object's size in bytes; None if it is not there."""
        found = self._described(key)
        return None if found is None else int(found["size"])

    def chunks(self, key: str) -> Iterator[bytes]:
        """Return an object's content piece by piece."""
        try:
            found = self._api.call("GET", STORAGE, self._at(key), query=_SIZE_AND_GENERATION)
            size = int(found["size"])
            # One generation, so that what is replaced meanwhile is not read half and half.
            query = {"alt": "media", "generation": found["generation"]}
            for start in range(0, size, _CHUNK):
                span = {"Range": f"bytes={start}-{min(start + _CHUNK, size) - 1}"}
                yield self._api.answer("GET", STORAGE, self._at(key), headers=span, query=query).content
        except GoogleError as error:
            raise self._denied(key, error) from None

    def locked(self, name: str, *, by: str, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Hold the lock `name` by a lease, which is not waited for: its holder may have been killed."""
        del wait_s
        return lease.leased(self, name, by=by)

    def is_locked(self, name: str) -> bool:
        """Return whether somebody holds the lock `name`; one that was killed elsewhere does until its lease ends."""
        return lease.is_leased(self, name)

    def address(self, key: str) -> str:
        """Return an object's address in Cloud Storage."""
        return self._root.address(key)

    def read_tagged(self, key: str) -> tuple[bytes, str] | None:
        """Return an object and its generation; None if it is not there."""
        found = self._described(key)
        content = None if found is None else self._content(key, generation=found["generation"])
        return None if found is None or content is None else (content, str(found["generation"]))

    def replace_if(self, key: str, content: bytes, *, tag: str) -> bool:
        """Replace an object; False if it does not have this generation any more."""
        return self._put(key, content, _TAKEN | {NOT_FOUND}, ifGenerationMatch=tag)

    def _content(self, key: str, **query: str) -> bytes | None:
        try:
            return self._api.answer("GET", STORAGE, self._at(key), query={"alt": "media", **query}).content
        except GoogleError as error:
            if error.status == NOT_FOUND:
                return None
            raise self._denied(key, error) from None

    def _described(self, key: str) -> dict[str, str] | None:
        try:
            return self._api.get(STORAGE, self._at(key), _SIZE_AND_GENERATION)
        except GoogleError as error:
            raise self._denied(key, error) from None

    def _put(self, key: str, content: bytes, but: frozenset[int] = frozenset(), **condition: str) -> bool:
        """Write an object; False if the condition does not hold, which Google says by one of `but`."""
        query = {"uploadType": "media", "name": self._name(key), **condition}
        path = f"upload/storage/v1/b/{self._root.bucket}/o"
        try:
            self._api.answer("POST", STORAGE, path, content, headers=_BYTES, repeatable=not condition, query=query)
        except GoogleError as error:
            if error.status in but:
                return False
            if error.status == NOT_FOUND:
                raise self._gone() from None
            raise self._denied(key, error) from None
        return True

    def _gone(self) -> PlatformFailed:
        return PlatformFailed(
            "there is no bucket of this name",
            code="gcs-bucket-gone",
            fix="See who deleted it; make it again, or name another one",
            part=self.address(""),
        )

    def _denied(self, key: str, error: GoogleError) -> PlatformFailed:
        return PlatformFailed(
            f"Cloud Storage answered {error.finding}",
            code="gcs-store-denied",
            fix="Allow the deployer this prefix, and repeat",
            part=self.address(key),
        )

    def _name(self, key: str) -> str:
        return self._root.prefix(key)

    def _quoted(self, key: str) -> str:
        return quote(self._name(key), safe="")

    def _at(self, key: str) -> str:
        return f"storage/v1/b/{self._root.bucket}/o/{self._quoted(key)}"
