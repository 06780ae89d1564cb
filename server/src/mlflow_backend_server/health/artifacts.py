"""Questions to the artifact store, asked as the server's own role: whether it can be used, and what one object holds.

The clients are imported and made when a question is put together, before the first request: that takes longer than a
probe waits.
"""

from __future__ import annotations

import importlib
import os
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlflow_backend_server.health.states import Away

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TIMEOUT_S = 1.0
_LISTED = "One object was listed under the artifacts' prefix."
_ABSENT = frozenset({"NoSuchKey", "404"})


def usable(destination: str) -> Callable[[], str]:
    """Return the question whether the store can be used: it lists one key under the artifacts' prefix.

    HeadBucket is denied to roles that may list one prefix only.
    """
    parts = urlsplit(destination)
    prefix = parts.path.strip("/")
    if parts.scheme == "s3":
        s3 = _S3(parts.netloc)
        return lambda: s3.list_one(f"{prefix}/" if prefix else "")
    if parts.scheme == "gs":
        return _listed_by_google(parts.netloc, prefix)
    return lambda: _folder(Path(parts.path))


def reading(destination: str, name: str) -> Callable[[], bytes | None]:
    """Return the question what the object `name` below the destination holds; None is that it is not there."""
    if not destination:
        return lambda: None
    parts = urlsplit(destination)
    key = f"{parts.path.strip('/')}/{name}".lstrip("/")
    if parts.scheme == "s3":
        s3 = _S3(parts.netloc)
        return lambda: s3.read(key)
    if parts.scheme == "gs":
        return lambda: _read_by_google(parts.netloc, key)
    return lambda: _read_file(Path(parts.path) / name)


class _S3:
    """One bucket of S3, or of a store that speaks its API."""

    def __init__(self, bucket: str) -> None:
        self._bucket = bucket
        self._exceptions = importlib.import_module("botocore.exceptions")
        self._client = cache(_s3_client)
        # The question itself finds what is wrong with it.
        with suppress(self._exceptions.BotoCoreError):
            self._client()

    def list_one(self, prefix: str) -> str:
        with self._judged():
            self._client().list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1)
        return _LISTED

    def read(self, key: str) -> bytes | None:
        with self._judged():
            try:
                content: bytes = self._client().get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except self._exceptions.ClientError as error:
                if _code(error) not in _ABSENT:
                    raise
                return None
        return content

    @contextmanager
    def _judged(self) -> Iterator[None]:
        try:
            yield
        except self._exceptions.ClientError as error:
            raise Away(f"The artifact store answers {_code(error)}.") from None
        except self._exceptions.NoCredentialsError:
            # A client keeps what credentials it found when it was made.
            self._client.cache_clear()
            raise Away("The server has no credentials for the artifact store.") from None
        except self._exceptions.BotoCoreError as error:
            raise Away(f"The artifact store cannot be reached ({type(error).__name__}).") from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", "an error"))


def _s3_client() -> Any:
    boto3, config = importlib.import_module("boto3"), importlib.import_module("botocore.config")
    limits = config.Config(connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries={"max_attempts": 0})
    return boto3.client("s3", endpoint_url=os.environ.get("MLFLOW_S3_ENDPOINT_URL"), config=limits)


@cache
def _google_client() -> Any:
    return importlib.import_module("google.cloud.storage").Client()


def _listed_by_google(bucket: str, prefix: str) -> Callable[[], str]:
    importlib.import_module("google.cloud.storage")

    def question() -> str:
        listed = _google_client().list_blobs(bucket, prefix=f"{prefix}/" if prefix else None, max_results=1)
        next(iter(listed), None)
        return _LISTED

    return question


def _read_by_google(bucket: str, key: str) -> bytes | None:
    blob = _google_client().bucket(bucket).get_blob(key, timeout=_TIMEOUT_S)
    return None if blob is None else bytes(blob.download_as_bytes(timeout=_TIMEOUT_S))


def _folder(folder: Path) -> str:
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise Away("The artifacts' folder is missing, or this server may not write to it.")
    return "The artifacts' folder can be written."


def _read_file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Away(f"The artifacts' folder cannot be read ({error.strerror}).") from None
