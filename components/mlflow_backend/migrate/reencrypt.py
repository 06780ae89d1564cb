"""The work of the dynamic resource Reencryption."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi.output import Unknown

from mlflow_backend.locator import from_document
from mlflow_backend.releases.targets import open_releases

if TYPE_CHECKING:
    from collections.abc import Mapping

_INPUTS: Final = ("locator", "mlflowVersion", "keys")


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether the servers have other keys than when it ran last; not for a pinned revision."""
    wanted = news.get("keys")
    return isinstance(wanted, Unknown) or (bool(wanted) and wanted != olds.get("keys"))


def run(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Re-encrypt, and return the resource's outputs. Raises Refused, PlatformFailed; nothing is changed then."""
    outputs = {key: inputs.get(key) for key in _INPUTS}
    if not inputs["keys"]:
        return {**outputs, "lost": []}
    target = open_releases(from_document(inputs["locator"]))
    with target.migration_lock():
        return {**outputs, "lost": list(target.tool(inputs["mlflowVersion"]).reencrypt())}
