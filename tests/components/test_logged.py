"""Lines of logs: what nobody may see in them."""

from __future__ import annotations

import pytest

from mlflow_backend.logged import without_passwords


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rediss://:tok3n@cache:6379/0", "rediss://:***@cache:6379/0"),
        ("postgresql+psycopg2://u:p@h/d and mysql://a:b@c", "postgresql+psycopg2://u:***@h/d and mysql://a:***@c"),
        ("http://127.0.0.1:5000/health", "http://127.0.0.1:5000/health"),
    ],
)
def test_passwords_in_urls_are_blanked(text: str, expected: str) -> None:
    """A server prints its URLs when it fails."""
    assert without_passwords(text) == expected
