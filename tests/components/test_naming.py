"""Names stay within limits and stay apart; tags and labels come from one mapping."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlflow_backend.naming import labels, tags, truncated_name

part = st.text(max_size=30)


def test_a_name_that_fits_is_not_changed() -> None:
    """People recognise what they named."""
    assert truncated_name("mlflow", "dev", "server", limit=32) == "mlflow-dev-server"


def test_a_long_name_keeps_its_beginning_and_ends_in_a_hash() -> None:
    """A cut name can still be read, and is the same every time."""
    name = truncated_name("mlflow-backend", "a-stack-with-a-long-name", "balancer", limit=32)
    assert name == truncated_name("mlflow-backend", "a-stack-with-a-long-name", "balancer", limit=32)
    assert re.fullmatch(r"mlflow-backend-a-stack-[0-9a-f]{8}", name)


@settings(deadline=None)
@given(parts=st.lists(part, min_size=1, max_size=4), limit=st.integers(10, 63))
def test_a_name_is_always_within_its_limit_and_alphabet(parts: list[str], limit: int) -> None:
    """No service refuses a name made here."""
    try:
        name = truncated_name(*parts, limit=limit)
    except ValueError:
        assert not re.search(r"[a-z0-9]", "-".join(parts).lower())
        return
    assert len(name) <= limit
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


@settings(deadline=None)
@given(one=part, other=part)
def test_two_stacks_never_share_a_name(one: str, other: str) -> None:
    """Two backends in one account and region do not meet, however their names are cut or spelt."""
    if one != other:
        assert truncated_name("mlflow", one, limit=20) != truncated_name("mlflow", other, limit=20)


@pytest.mark.parametrize(("parts", "limit"), [(("---",), 20), (("mlflow",), 9), ((), 20)])
def test_a_name_that_cannot_be_made_is_refused(parts: tuple[str, ...], limit: int) -> None:
    """An empty name, or one that is all hash, would surprise its reader later."""
    with pytest.raises(ValueError, match="no name of at most"):
        truncated_name(*parts, limit=limit)


def test_the_projects_own_tags_win() -> None:
    """A user's tag cannot hide which stack a resource belongs to."""
    assert tags(project="mlflow-backend", stack="dev", own={"team": "ml", "stack": "mine"}) == {
        "team": "ml",
        "project": "mlflow-backend",
        "stack": "dev",
        "managed-by": "pulumi",
    }


def test_labels_are_tags_that_google_accepts() -> None:
    """Lower case, no dots or slashes, at most 63 characters."""
    assert labels({"Team.Name": "ML/Platform", "long": "x" * 70}) == {"team_name": "ml_platform", "long": "x" * 63}
