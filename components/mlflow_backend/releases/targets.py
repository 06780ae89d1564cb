"""The deployed backend that a locator means."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import targets

if TYPE_CHECKING:
    from collections.abc import Mapping

LIVE: Final = "MLFLOW_BACKEND_LIVE"
"""Environment variable by which a preview asks for the database's own schema where that takes a one-shot task."""


def is_known(locator: Mapping[str, str]) -> bool:
    """Tell whether a locator names a backend of a target."""
    return locator.get("kind") in targets.MODULES


def open_releases(locator: Mapping[str, str]) -> Any:
    """Return the `deployed.DeployedBackend` that a locator names: it is above this package, as its target is.

    Raises UsageError for a kind that is not known.
    """
    platform = targets.get(locator.get("kind", "")).platform(locator)
    return importlib.import_module("mlflow_backend.deployed").DeployedBackend(platform)
