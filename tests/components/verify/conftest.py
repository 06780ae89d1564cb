"""Fixtures of the verification's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.verify import plugin
from tests.components.verify.fake_full import FullMLflow
from tests.components.verify.fake_mlflow import FakeMLflow

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A degraded server is asked again at once."""
    monkeypatch.setattr(plugin, "AGAIN_S", (0.0,) * len(plugin.AGAIN_S))


@pytest.fixture
def server() -> Iterator[FakeMLflow]:
    """A server that answers as MLflow does, on a free loopback port."""
    with FakeMLflow() as fake:
        yield fake


@pytest.fixture
def full_server() -> Iterator[FullMLflow]:
    """A server that also answers what the profile `full` asks."""
    with FullMLflow() as fake:
        yield fake
