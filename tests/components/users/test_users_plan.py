"""The calls that make users and permissions what settings ask for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_backend.contract import Refused
from mlflow_backend.users import plan
from mlflow_backend.users.plan import Wanted
from mlflow_backend.verify.permissions import Call, Found, Grant, User, Verb

FRAUD = Grant("ada", "experiment", "7")
MODEL = Grant("ada", "registered_model", "fraud")
ADA = {"ada": User(admin=False)}


def done(
    wanted: Wanted, found: Found, *, made: tuple[str, ...] = (), granted: tuple[Grant, ...] = ()
) -> list[tuple[Verb, str]]:
    """Return verb and user of each call."""
    calls = plan.calls(wanted, found, made=made, granted=granted, caller="admin")
    return [(call.verb, call.user) for call in calls]


@pytest.mark.parametrize(
    ("wanted", "found", "expected"),
    [
        (Wanted(), Found(), []),
        (Wanted(admins={"ada": False}), Found(), [(Verb.CREATE, "ada")]),
        (Wanted(admins={"ada": True}), Found(), [(Verb.CREATE, "ada"), (Verb.PROMOTE, "ada")]),
        (Wanted(admins={"ada": False}), Found(users=ADA), []),
        (Wanted(admins={"ada": True}), Found(users=ADA), [(Verb.PROMOTE, "ada")]),
        (Wanted(admins={"ada": False}), Found(users={"ada": User(admin=True)}), [(Verb.DEMOTE, "ada")]),
        (
            Wanted(admins={"ada": False}),
            Found(users={"ada": User(admin=False, accepted=False)}),
            [(Verb.PASSWORD, "ada")],
        ),
        (Wanted(admins={"ada": False}, grants={FRAUD: "EDIT"}), Found(users=ADA), [(Verb.GIVE, "ada")]),
        (
            Wanted(admins={"ada": False}, grants={FRAUD: "EDIT"}),
            Found(users=ADA, grants={FRAUD: "READ"}),
            [(Verb.CHANGE, "ada")],
        ),
        (
            Wanted(admins={"ada": False}, grants={FRAUD: "EDIT"}),
            Found(users=ADA, grants={FRAUD: "EDIT", MODEL: "MANAGE"}),
            [],
        ),
    ],
)
def test_what_differs_is_changed_and_nothing_else(
    wanted: Wanted, found: Found, expected: list[tuple[Verb, str]]
) -> None:
    """A state that is as wanted takes no call: an update may compare as often as it likes."""
    assert done(wanted, found) == expected


def test_only_what_settings_made_is_withdrawn() -> None:
    """An empty list deletes nobody whom people made, and revokes nothing that MLflow itself gave."""
    found = Found(users={**ADA, "carl": User(admin=True)}, grants={FRAUD: "MANAGE", MODEL: "EDIT"})
    assert done(Wanted(), found) == []
    assert done(Wanted(), found, granted=(MODEL,)) == [(Verb.REVOKE, "ada")]
    assert done(Wanted(), found, made=("ada", "gone"), granted=(MODEL,)) == [
        (Verb.REVOKE, "ada"),
        (Verb.REVOKE, "ada"),
        (Verb.DELETE, "ada"),
    ]
    kept = Wanted(admins={"ada": False})
    assert done(kept, found, made=("ada",), granted=(MODEL, FRAUD)) == [(Verb.REVOKE, "ada")] * 2


def test_whoever_manages_users_is_never_among_them() -> None:
    """The administrator who makes the calls stays one, so that nobody locks out the last."""
    with pytest.raises(Refused) as refused:
        done(Wanted(admins={"admin": False}), Found())
    assert refused.value.code == "users-name-administrator"
    assert done(Wanted(), Found(users={"admin": User(admin=True)}), made=("admin",)) == []


NAMES = st.sampled_from(["ada", "bob", "carl"])
GRANTS = st.dictionaries(
    st.builds(Grant, NAMES, st.sampled_from(["experiment", "registered_model"]), st.sampled_from(["1", "2"])),
    st.sampled_from(["READ", "EDIT", "MANAGE", "NO_PERMISSIONS"]),
    max_size=4,
)


@given(
    admins=st.dictionaries(NAMES, st.booleans()),
    grants=GRANTS,
    users=st.dictionaries(NAMES, st.builds(User, admin=st.booleans(), accepted=st.booleans())),
    others=GRANTS,
    made=st.sets(NAMES),
)
def test_a_second_look_finds_nothing_to_do(
    admins: dict[str, bool], grants: dict[Grant, str], users: dict[str, User], others: dict[Grant, str], made: set[str]
) -> None:
    """After the calls all is as wanted, whatever was there before."""
    wanted = Wanted(admins=admins, grants={each: given for each, given in grants.items() if each.user in admins})
    found = Found(users=users, grants={each: given for each, given in others.items() if each.user in users})
    calls = plan.calls(wanted, found, made=made, granted=[*others], caller="admin")
    after = applied(found, calls)
    assert plan.calls(wanted, after, made=made, granted=[*others], caller="admin") == ()
    assert {*after.users} == {*admins} | ({*users} - made)


def applied(found: Found, calls: tuple[Call, ...]) -> Found:
    """Return what MLflow has after calls."""
    users, grants = dict(found.users), dict(found.grants)
    for call in calls:
        match call.verb:
            case Verb.CREATE | Verb.DEMOTE:
                accepted = call.verb is Verb.CREATE or users[call.user].accepted
                users[call.user] = User(admin=False, accepted=accepted)
            case Verb.PASSWORD:
                users[call.user] = User(admin=users[call.user].admin)
            case Verb.PROMOTE:
                users[call.user] = User(admin=True, accepted=users[call.user].accepted)
            case Verb.DELETE:
                del users[call.user]
                grants = {each: given for each, given in grants.items() if each.user != call.user}
            case Verb.REVOKE:
                del grants[call.grant or FRAUD]
            case _:
                grants[call.grant or FRAUD] = call.permission
    return Found(users=users, grants=grants)


def test_a_change_is_said_without_a_secret() -> None:
    """A refresh shows each change as a sentence."""
    assert str(Call(verb=Verb.GIVE, user="ada", grant=FRAUD, permission="EDIT")) == "give ada EDIT on experiment 7"
    assert str(Call(verb=Verb.DELETE, user="ada")) == "delete the user ada"
