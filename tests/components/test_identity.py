"""Which backends are known again and which are not: every part replaced, emptied, lost, with and without a ledger."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.identity import ANY, Recorded, differences, recorded_of

MINE: dict[str, Any] = {
    "database": {"id": "D", "store": "S"},
    "users": {"id": "U"},
    "store": {"id": "S", "database": "D"},
}
LEDGER: Recorded = {"database": "D", "users": "U", "store": "S"}
FIRST: dict[str, Any] = {"database": {"id": "D", "store": None}, "store": None}
OTHER: dict[str, Any] = {
    "database": {"id": "D2", "store": "S2"},
    "users": {"id": "U2"},
    "store": {"id": "S2", "database": "D2"},
}
LEFT_OUT: dict[str, Any] = {part: MINE[part] for part in ("database", "store")}


@pytest.mark.parametrize(
    ("live", "recorded"),
    [
        (MINE, LEDGER),
        (MINE, {}),
        (MINE, {"database": "D", "store": "S"}),
        (LEFT_OUT, LEDGER),
        (FIRST, {}),
        (FIRST, {"users": "U"}),
        ({**MINE, "database": {"id": "D", "store": None}}, {}),
        ({**MINE, "store": {"id": "S", "database": ANY}}, {}),
        # Accepted once, so that the ledger's word counts and not what was bound before.
        ({**MINE, "database": {"id": "D", "store": "S0"}}, LEDGER),
    ],
)
def test_a_backend_is_known(live: dict[str, Any], recorded: Recorded) -> None:
    """What is as it was, what is new, and what is not looked at, is no difference."""
    assert differences(live, recorded) == []


@pytest.mark.parametrize("recorded", [LEDGER, {}], ids=["ledger", "no ledger"])
@pytest.mark.parametrize("other", [OTHER, None], ids=["another's", "emptied"])
@pytest.mark.parametrize("part", ["database", "store"])
def test_a_part_of_another_backend_or_an_emptied_one_is_found_with_both_identities(
    part: str, other: dict[str, Any] | None, recorded: Recorded
) -> None:
    """The ledger is compared or, if it is gone, what database and store say of each other."""
    live = {**MINE, part: other and other[part]}
    found = "; ".join(differences(live, recorded))
    assert MINE[part]["id"] in found or (part == "database" and not recorded and other is None)
    if other is not None:
        assert other[part]["id"] in found


@pytest.mark.parametrize("recorded", [LEDGER, {}], ids=["ledger", "no ledger"])
def test_a_database_that_got_a_new_identity_is_found(recorded: Recorded) -> None:
    """An emptied database whose server was started anew belongs to no store yet."""
    assert differences({**MINE, "database": {"id": "D3", "store": None}}, recorded)


def test_the_users_database_is_compared_with_the_ledger() -> None:
    """An emptied database of users is found."""
    assert differences({**MINE, "users": OTHER["users"]}, LEDGER)
    assert differences({**MINE, "users": None}, LEDGER)


def test_what_is_recorded_is_what_has_an_identity() -> None:
    """A part without one is recorded as soon as it has one."""
    assert recorded_of(MINE) == LEDGER
    assert recorded_of(FIRST) == {"database": "D"}
