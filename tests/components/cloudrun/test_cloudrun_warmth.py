"""What the first answer of a service on Cloud Run says about its instances."""

from __future__ import annotations

import pytest

from mlflow_backend.cloudrun.warmth import compared
from mlflow_backend.verify.model import Exchange, Trouble


def answer(seconds: float, status: int | None = 200, trouble: Trouble | None = None) -> Exchange:
    """Return an answer after some seconds."""
    return Exchange(method="GET", path="/health", status=status, trouble=trouble, elapsed_ms=seconds * 1000)


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (answer(0.3), answer(0.1), "warm"),
        (answer(6.0), answer(0.1), "cold"),
        # A slow network is no cold start.
        (answer(2.4), answer(2.2), "warm"),
        (answer(0.1, 403), answer(0.1), "none"),
        (answer(60.0, None, Trouble.READ_TIMEOUT), answer(0.1), "none"),
        (answer(6.0), answer(0.1, 503), "none"),
    ],
)
def test_a_cold_start_shows_in_the_first_answer_alone(first: Exchange, second: Exchange, word: str) -> None:
    """Only an answer that waited for an instance is called cold, and only two answers say anything."""
    assert compared(first, second).startswith(word)
