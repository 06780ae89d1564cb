"""What holds for all tests of the target eks: it is under its name, as the registry finds it."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_backend import targets
from tests.components.ecs.conftest import DEPRECATED

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(targets.MODULES, "eks", "mlflow_backend.eks.target")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the AWS SDK be imported, whose own deprecations are not this project's."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings(DEPRECATED))
