"""What holds for all tests of the ecs target."""

from __future__ import annotations

from pathlib import Path

import pytest

HERE = Path(__file__).parent
# The SDK warns about its own classes while it imports them.
DEPRECATED = r"ignore:.* has been deprecated in favor of:DeprecationWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the AWS SDK be imported, whose own deprecations are not this project's."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.filterwarnings(DEPRECATED))
