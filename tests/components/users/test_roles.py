"""Roles of MLflow in a stack's file: what is refused, what is asked of MLflow, and the calls that follow."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_backend.settings import Settings, SettingsError, load
from mlflow_backend.users import desired, resource, roles
from mlflow_backend.verify.permissions import Resource, Role, RoleCall, RoleVerb

ALL = Resource("experiment", "*")
ONE = Resource("registered_model", "fraud")
READER = Role(members=frozenset({"ada"}), permissions={ALL: "READ"})
USERS = {"ada": {"password": "env:ADA"}, "bob": {"password": "env:BOB"}}


def loaded(version: str = "3.17.2", **roles: Any) -> Settings:
    """Load a stack's file with roles."""
    access = {"mode": "basic", "users": USERS, "groups": {"risk": ["bob", "ada"]}, "roles": roles}
    values = {"target": "local", "access": json.dumps(access), "server": json.dumps({"mlflowVersion": version})}
    return load(values)


@pytest.mark.parametrize(
    ("wanted", "found", "made", "expected"),
    [
        ({}, {}, (), []),
        ({}, {"reader": READER}, (), []),
        ({}, {"reader": READER}, ("reader", "gone"), ["delete the role reader"]),
        ({"reader": READER}, {"reader": READER}, (), []),
        (
            {"reader": READER},
            {},
            (),
            ["create the role reader", "give the role reader READ on experiment *", "assign the role reader ada"],
        ),
        (
            {"reader": READER},
            {"reader": Role(members=frozenset({"bob"}), permissions={ALL: "EDIT", ONE: "MANAGE"})},
            (),
            [
                "take back the role reader bob",
                "revoke of the role reader on registered_model fraud",
                "change of the role reader READ on experiment *",
                "assign the role reader ada",
            ],
        ),
    ],
)
def test_a_role_becomes_what_the_settings_say_and_no_other_is_touched(
    wanted: dict[str, Role], found: dict[str, Role], made: tuple[str, ...], expected: list[str]
) -> None:
    """Nobody gets a role before it is complete, and a role that people made is never deleted."""
    assert [" ".join(str(call).split()) for call in roles.calls(wanted, found, made=made)] == expected


NAMES = st.sampled_from(["reader", "editor", "guest"])
ROLES = st.dictionaries(
    NAMES,
    st.builds(
        Role,
        members=st.frozensets(st.sampled_from(["ada", "bob"])),
        permissions=st.dictionaries(st.sampled_from([ALL, ONE]), st.sampled_from(["READ", "EDIT", "NO_PERMISSIONS"])),
    ),
)


@given(wanted=ROLES, found=ROLES, made=st.sets(NAMES))
def test_a_second_look_finds_nothing_to_do(wanted: dict[str, Role], found: dict[str, Role], made: set[str]) -> None:
    """After the calls each role is as wanted, whatever was there before."""
    after = dict(found)
    for call in roles.calls(wanted, found, made=made):
        after = applied(after, call)
    assert {name: after[name] for name in wanted} == wanted
    assert roles.calls(wanted, after, made=made) == ()


def applied(found: dict[str, Role], call: RoleCall) -> dict[str, Role]:
    """Return the roles after a call, as MLflow would have them."""
    others = {name: role for name, role in found.items() if name != call.role}
    role = found.get(call.role, Role())
    match call.verb:
        case RoleVerb.DELETE:
            return others
        case RoleVerb.ASSIGN:
            role = Role(members=role.members | {call.member}, permissions=role.permissions)
        case RoleVerb.UNASSIGN:
            role = Role(members=role.members - {call.member}, permissions=role.permissions)
        case RoleVerb.REVOKE:
            kept = {each: given for each, given in role.permissions.items() if each != call.resource}
            role = Role(members=role.members, permissions=kept)
        case _ if call.resource:
            role = Role(members=role.members, permissions={**role.permissions, call.resource: call.permission})
    return {**others, call.role: role}


def test_groups_are_expanded_and_kinds_are_called_as_mlflow_does() -> None:
    """A group's members have the role, each once; 'runs' is MLflow's 'run'."""
    given = loaded(
        guest={},
        analyst={
            "members": ["risk", "ada"],
            "permissions": {"registeredModelVersions": {"*": "READ"}, "experiments": {"fraud": "EDIT", "*": "READ"}},
        },
    )
    assert desired.roles(given) == [
        {
            "name": "analyst",
            "members": ["ada", "bob"],
            "permissions": [
                {"kind": "experiment", "resource": "*", "permission": "READ"},
                {"kind": "experiment", "resource": "fraud", "permission": "EDIT"},
                {"kind": "registered_model_version", "resource": "*", "permission": "READ"},
            ],
        },
        {"name": "guest", "members": [], "permissions": []},
    ]


@pytest.mark.parametrize(
    ("version", "role", "path"),
    [
        ("3.10.1", {}, "access.roles"),
        ("3.17.2", {"members": ["carl"]}, "access.roles.reader.members"),
        ("3.17.2", {"permissions": {"runs": {"7": "READ"}}}, "access.roles.reader.permissions.runs"),
        ("3.17.2", {"permissions": {"workspace": {"*": "MANAGE"}}}, "access.roles.reader.permissions.workspace"),
        ("3.17.2", {"permissions": {"runs": {"*": "OWN"}}}, "access.roles.reader.permissions.runs"),
    ],
)
def test_a_role_that_mlflow_would_not_keep_is_refused_by_its_key(version: str, role: dict[str, Any], path: str) -> None:
    """A version without roles, somebody who is not there, and what a role has as a whole or not at all."""
    with pytest.raises(SettingsError) as caught:
        loaded(version, reader=role)
    assert caught.value.problems[0].path.startswith(path)


def test_a_state_of_before_roles_is_no_work() -> None:
    """A stack whose state has no roles shows no change in a preview if its settings have none."""
    olds = {"url": "http://a", "users": USERS, "permissions": [], "updateId": "1", "drift": []}
    assert not resource.changed(olds, {**olds, "roles": [], "updateId": ""})
    assert resource.changed(olds, {**olds, "roles": [{"name": "reader"}], "updateId": ""})
