"""Two local stacks on one machine do not meet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import ports
from tests.engine.calls import call
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("local-two")]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[LocalStack, LocalStack]]:
    """Two stacks that are not deployed yet."""
    made = LocalStack(tmp_path / "one", "one"), LocalStack(tmp_path / "two", "two")
    yield made
    for stack in made:
        stack.close()


def test_two_stacks_share_no_port_no_process_and_no_data(pair: tuple[LocalStack, LocalStack]) -> None:
    """Each has its own URL and data, and destroying one leaves the other at work."""
    one, two = pair
    one.must_up()
    two.must_up()
    assert not set(ports.known(one.state).values()) & set(ports.known(two.state).values())
    made = call(one.output("trackingUrl"), "experiments/create", {"name": "only in one"})
    names = [e["name"] for e in call(two.output("trackingUrl"), "experiments/search?max_results=100")["experiments"]]
    assert "only in one" not in names
    assert two.destroy().ok
    assert not two.processes()
    assert call(one.output("trackingUrl"), f"experiments/get?experiment_id={made['experiment_id']}")["experiment"]
