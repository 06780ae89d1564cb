"""The encryption keys of a stack: what is drawn, what a rotation keeps, and what cannot be a key."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from mlflow_backend.new_keys import draw
from mlflow_backend.server import keys


def in_force(held: dict[str, str]) -> dict[str, str]:
    """Return the keys that a server is given."""
    return {name: held[name] for name in keys.IN_FORCE}


def test_first_keys_are_random_and_never_mlflows_defaults() -> None:
    """The webhook key is one that MLflow's cipher takes; version 1 is that of rows under MLflow's own passphrase."""
    first, second = draw(), draw()
    assert keys.problem(first) is None
    Fernet(first[keys.WEBHOOK])
    assert int(first[keys.VERSION]) > 1
    assert first[keys.WEBHOOK] != second[keys.WEBHOOK]
    assert first[keys.PASSPHRASE] != second[keys.PASSPHRASE]
    assert len(first[keys.PASSPHRASE]) >= 32


def test_a_rotation_replaces_all_and_loses_nothing() -> None:
    """Whatever was written under any earlier keys can be read with what a rotation leaves."""
    held, seen = draw(), []
    for _ in range(3):
        seen.insert(0, in_force(held))
        held = keys.rotated(held, draw())
        assert keys.problem(held) is None
        assert json.loads(held[keys.FORMER]) == seen
        assert not set(in_force(held).values()) & {value for entry in seen for value in entry.values()}


@given(put=st.sets(st.sampled_from(keys.NAMES)), had=st.booleans())
def test_whatever_is_put_in_what_was_in_force_stays_readable(put: set[str], had: bool) -> None:  # noqa: FBT001
    """Each subset of the names may be put or left out; keys in force before are in force or among the former ones."""
    before = keys.rotated(draw(), draw()) if had else {}
    other = keys.rotated(draw(), draw())
    after = keys.succeeding(before, {name: other[name] for name in put}, draw())
    assert keys.problem(after) is None
    readable = [in_force(after), *json.loads(after[keys.FORMER])]
    for held in (before, other if put >= set(keys.NAMES) else {}):
        if held:
            assert all(entry in readable for entry in (in_force(held), *json.loads(held[keys.FORMER])))
    again = keys.succeeding(before, after, draw())
    assert again == keys.succeeding(before, again, draw())


@pytest.mark.parametrize("name", keys.NAMES)
@pytest.mark.parametrize("value", [None, "", 7, "s3cret\n", "s3cret", "[1]", "-1", "0", "{}", '[{"webhook-key": "s"}]'])
def test_what_cannot_be_a_key_is_named_and_not_shown(name: str, value: Any) -> None:
    """A server that is given it would start and fail later, or fall back to a default."""
    found = keys.problem({**draw(), name: value})
    if name == keys.PASSPHRASE and isinstance(value, str) and value.isprintable() and value:
        assert found is None
        return
    assert found is not None
    assert found.startswith(name)
    assert "s3cret" not in found


@pytest.mark.parametrize("name", keys.NAMES)
def test_an_incomplete_set_is_no_set_of_keys(name: str) -> None:
    """A rotation of it would lose what is missing."""
    held = {key: value for key, value in draw().items() if key != name}
    assert name in str(keys.problem(held))
    with pytest.raises(ValueError, match=name):
        keys.rotated(held, draw())
