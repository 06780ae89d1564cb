"""The releases of the backend that a locator means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import targets

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVE: Final = "MLFLOW_BACKEND_LIVE"
"""Environment variable by which a preview asks for the database's own schema where that takes a one-shot task."""


def open_releases(locator: Mapping[str, str]) -> Any:
    """Return what the target gives to migrations and rollbacks (MigrationTarget and RollbackTarget).

    Raises UsageError for a kind that is not known.
    """
    return targets.get(locator.get("kind", "")).releases(locator)
