"""What holds for all tests of the target eks: the AWS SDK's own deprecations are not this project's."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components.ecs.conftest import DEPRECATED

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the SDK be imported."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings(DEPRECATED))
