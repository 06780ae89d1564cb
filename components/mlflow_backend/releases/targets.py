"""Which target's releases a locator means. The target's module is imported when it is asked for, not before."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TARGETS: Final[dict[str, str]] = {"ecs": "mlflow_backend.ecs.releases", "local": "mlflow_backend.local.releases"}
"""Kind of locator -> module with `open_releases(locator)`."""

LIVE: Final = "MLFLOW_BACKEND_LIVE"
"""Environment variable by which a preview asks for the database's own schema where that takes a one-shot task."""


class LocatorError(Exception):
    """A locator names no target that keeps releases."""


def open_releases(locator: Mapping[str, str]) -> Any:
    """Return what the target gives to migrations and rollbacks (MigrationTarget and RollbackTarget).

    Raises LocatorError for a kind that is not known.
    """
    kind = locator.get("kind", "")
    if kind not in TARGETS:
        raise LocatorError(f"locator.kind: {kind or 'missing'}. Known are: {', '.join(TARGETS)}.")
    return importlib.import_module(TARGETS[kind]).open_releases(locator)
