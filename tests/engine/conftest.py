"""Fixtures of the engine tests: stacks that are destroyed whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[LocalStack]:
    """A stack that is not deployed yet."""
    made = LocalStack(tmp_path / "stack")
    yield made
    made.close()


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """One stack for all tests of a module, deployed and verified; each test leaves it so."""
    made = LocalStack(tmp_path_factory.mktemp("deployed") / "stack")
    try:
        made.must_up()
        yield made
    finally:
        made.close()
