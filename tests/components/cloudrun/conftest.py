"""The target in the registry, while a test runs."""

from __future__ import annotations

import pytest

from mlflow_backend import targets
from tests.components.cloudrun import unregistered


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let settings name the target."""
    monkeypatch.setitem(targets.MODULES, "cloudrun", unregistered.__name__)
