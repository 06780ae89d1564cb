"""Uploads to Cloud Storage of what is written piece by piece, in memory for one piece and without a disk.

An object is only ever created, never replaced: by generation 0 ('Request preconditions', Cloud Storage).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp.api import CONFLICT, PRECONDITION, STORAGE, GoogleError

if TYPE_CHECKING:
    from mlflow_backend.bucket_root import BucketRoot
    from mlflow_backend.gcp.api import Answer, Api

# 'Resumable uploads' (Cloud Storage): a multiple of 256 KiB, at least 8 MiB for speed.
PIECE_BYTES: Final = 8 << 20
_TAKEN: Final = frozenset({PRECONDITION, CONFLICT})
_UNFINISHED: Final = 308
# Google may keep less of a piece than it was sent; nothing of it again and again is a failure.
_TRIES: Final = 5
_KIND: Final = "application/octet-stream"


class Upload:
    """One object that is created from what is written to it. It is there when `finish` returns, and not before.

    What is given up before that leaves nothing: Google forgets an upload that does not go on after a week.
    """

    def __init__(self, api: Api, root: BucketRoot, key: str) -> None:
        """Name the object; nothing is sent yet."""
        self._api, self._address = api, root.address(key)
        self._path = f"upload/storage/v1/b/{root.bucket}/o"
        self._query = {"name": root.prefix(key), "ifGenerationMatch": "0"}
        self._buffer, self._kept = bytearray(), 0
        self._session: tuple[str, dict[str, str]] | None = None

    def write(self, piece: bytes) -> None:
        """Take more of the content. Raises PlatformFailed if Google refuses it."""
        self._buffer += piece
        # A full buffer may be the end, which is sent as such.
        while len(self._buffer) > PIECE_BYTES:
            self._send(PIECE_BYTES, total="*")

    def finish(self) -> bool:
        """Create the object; False if somebody else has created one. Raises PlatformFailed if Google refuses it."""
        try:
            if self._session is None:
                query = {"uploadType": "media", **self._query}
                headers = {"Content-Type": _KIND}
                # One that was created by the first of two tries is there with the same content.
                self._api.answer(
                    "POST", STORAGE, self._path, bytes(self._buffer), headers=headers, repeatable=True, query=query
                )
                return True
            while self._buffer:
                self._send(len(self._buffer), total=str(self._kept + len(self._buffer)))
        except GoogleError as error:
            if error.status in _TAKEN:
                return False
            raise self._refused(error.finding) from None
        return True

    def _send(self, size: int, *, total: str) -> None:
        """Send the first bytes of the buffer, and drop from it what Google has kept of them."""
        begin, piece = self._kept, bytes(self._buffer[:size])
        for _ in range(_TRIES):
            sent = piece[self._kept - begin :]
            span = f"bytes {self._kept}-{self._kept + len(sent) - 1}/{total}"
            kept = _kept(self._put(sent, span), all_=begin + size)
            del self._buffer[: kept - self._kept]
            self._kept = kept
            if kept == begin + size:
                return
        raise self._refused(f"it has kept {self._kept - begin} bytes of {size} after {_TRIES} tries")

    def _put(self, content: bytes, span: str) -> Answer:
        path, query = self._begun()
        return self._api.answer("PUT", STORAGE, path, content, headers={"Content-Range": span}, query=query)

    def _begun(self) -> tuple[str, dict[str, str]]:
        """Return where the pieces go, by Google's own word."""
        if self._session is None:
            query = {"uploadType": "resumable", **self._query}
            headers = {"X-Upload-Content-Type": _KIND}
            begun = self._api.answer("POST", STORAGE, self._path, headers=headers, repeatable=True, query=query)
            where = urlsplit(begun.headers["Location"])
            self._session = where.path.lstrip("/"), dict(parse_qsl(where.query))
        return self._session

    def _refused(self, finding: str) -> PlatformFailed:
        return PlatformFailed(
            f"Cloud Storage: {finding}",
            code="gcs-upload-failed",
            fix="See that whoever writes may create objects there, and repeat",
            part=self._address,
        )


def _kept(answer: Answer, *, all_: int) -> int:
    """Return how many bytes of an upload Google has by its answer: those up to the end of its range, or all of them."""
    if answer.status != _UNFINISHED:
        return all_
    found = re.fullmatch(r"bytes=0-(\d+)", answer.headers.get("Range", ""))
    return int(found[1]) + 1 if found else 0
