"""The releases of the backend that a locator means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import targets
from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVE: Final = "MLFLOW_BACKEND_LIVE"
"""Environment variable by which a preview asks for the database's own schema where that takes a one-shot task."""


def open_releases(locator: Mapping[str, str]) -> Any:
    """Return what the target gives to migrations and rollbacks (MigrationTarget and RollbackTarget).

    Raises Refused for a kind that is not known.
    """
    try:
        return targets.get(locator.get("kind", "")).releases(locator)
    except targets.UnknownTarget as error:
        raise Refused(f"locator.kind: {error}.", code="locator-kind-unknown") from None
