"""The target under its name, as the registry finds it."""

from __future__ import annotations

import pytest

from mlflow_backend import targets


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let settings name the target."""
    monkeypatch.setitem(targets.MODULES, "cloudrun", "mlflow_backend.cloudrun.target")
