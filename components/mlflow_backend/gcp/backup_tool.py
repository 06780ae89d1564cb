"""The tool of a one-shot task, as an object in the backend's store: made from this package, found by its digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.backup.tool import content
from mlflow_backend.gcp.api import shared
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.gcp.store import GcsStore

if TYPE_CHECKING:
    from collections.abc import Mapping

REPLACING: Final = ("bucket", "key")


def identifier(props: Mapping[str, Any]) -> str:
    """Return the object's key."""
    return str(props["key"])


def ensure(props: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write the object, if it is not there; of one key there is one content. Raises PlatformFailed."""
    packed = content(props["program"], props["job"], props["settings"], cloud="gcp")
    _store(props).create(props["key"], packed)
    return props


def current(props: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the outputs; None if the object is gone."""
    return None if _store(props).size(props["key"]) is None else props


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether it is gone; another content has another key."""
    del news
    return current(olds) is None


def delete(props: Mapping[str, Any]) -> None:
    """Delete the object."""
    _store(props).delete(props["key"])


def _store(props: Mapping[str, Any]) -> GcsStore:
    return GcsStore(shared(), GcsRoot(bucket=props["bucket"]))
