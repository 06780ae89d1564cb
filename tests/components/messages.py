"""Messages in tests: distinguished by their codes, and compared by the facts in them, not by their wording."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import BackendError, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def raised(code: str, *facts: str, kind: type[BackendError] = Refused) -> Iterator[None]:
    """Expect an error of this code, with these facts in its text in this order, and something to do."""
    with pytest.raises(kind) as error:
        yield
    assert error.value.code == code
    assert error.value.fix
    assert_says(str(error.value), *facts)


def assert_says(text: str, *facts: str) -> None:
    """Hold a text to the facts in it, in their order."""
    at = 0
    for fact in facts:
        found = text.find(fact, at)
        assert found >= 0, f"{fact!r} is missing, or not in its place: {text}"
        at = found + len(fact)
