"""The tool of a one-shot task, as an object in the backend's store: made from this package, found by its digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup.tool import content

if TYPE_CHECKING:
    from collections.abc import Mapping

REPLACING: Final = ("bucket", "key")


def identifier(props: Mapping[str, Any]) -> str:
    """Return the object's key."""
    return str(props["key"])


def ensure(props: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the object, if it is not there; of one key there is one content. Raises PlatformFailed."""
    packed = content(props["program"], props["job"], props["settings"], cloud="aws")
    _store(props).create(props["key"], packed)
    return props


def current(props: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the outputs; None if the object is gone."""
    # Listed, because S3 says of one that is gone that it is denied to whoever may not list the whole bucket.
    return props if props["key"] in _store(props).keys(props["key"].rpartition("/")[0]) else None


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether it is written with another connection, or is gone."""
    return olds.get("connection") != news.get("connection") or current(olds) is None


def delete(props: Mapping[str, Any]) -> None:
    """Delete the object."""
    _store(props).delete(props["key"])


def _store(props: Mapping[str, Any]) -> S3Store:
    return S3Store(Connection.at(props["connection"]).client("s3"), bucket=props["bucket"])
