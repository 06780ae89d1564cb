"""The target under its name, as the registry finds it."""

from __future__ import annotations

import pytest

from mlflow_backend import targets


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(targets.MODULES, "kubernetes", "mlflow_backend.kubernetes.target")
