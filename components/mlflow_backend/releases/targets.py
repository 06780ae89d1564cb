"""The deployed backend that a locator means."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import targets

if TYPE_CHECKING:
    from mlflow_backend.locator import Locator

LIVE: Final = "MLFLOW_BACKEND_LIVE"
"""Environment variable by which a preview asks for the database's own schema if that takes a one-shot task."""


def open_releases(locator: Locator) -> Any:
    """Return the `deployed.DeployedBackend` that a locator names: it is above this package, as its target is."""
    platform = targets.get(locator.kind).platform(locator)
    return importlib.import_module("mlflow_backend.deployed").DeployedBackend(platform)
