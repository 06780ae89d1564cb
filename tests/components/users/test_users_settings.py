"""Users, groups and permissions in a stack's file: what is refused, and what is asked of MLflow."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.local.backend import LocalBackend, LocalBackendArgs
from mlflow_backend.settings import Settings, SettingsError, load
from mlflow_backend.settings.users import User
from mlflow_backend.users import desired, passwords, resource
from tests.components.registrations import FakePlatform, registered_with

if TYPE_CHECKING:
    from pathlib import Path

USERS = {"ada": {"password": "env:ADA", "admin": True}, "bob": {"password": "file:/run/bob"}}
GIVEN = {
    "mode": "basic",
    "users": USERS,
    "groups": {"risk": ["ada", "bob"], "guests": ["bob"]},
    "permissions": {
        "default": "NO_PERMISSIONS",
        "experiments": {"fraud": {"risk": "EDIT", "guests": "READ"}, "alone": {"ada": "READ", "risk": "MANAGE"}},
        "registeredModels": {"fraud": {"guests": "NO_PERMISSIONS"}},
        "scorers": {"a/b": {"right & wrong": {"bob": "READ"}}},
        "gatewayEndpoints": {"chat": {"guests": "EDIT"}},
        "gatewayModelDefinitions": {"gpt": {"bob": "READ"}},
        "gatewaySecrets": {"key": {"bob": "MANAGE"}},
    },
}


def loaded(**access: Any) -> Settings:
    """Load a stack's file with a section about access."""
    return load({"target": "local", "access": json.dumps(access)})


def test_groups_are_expanded_to_what_each_user_may() -> None:
    """The strongest permission of a user's groups counts, and what the user is given by name counts over it."""
    found = desired.permissions(loaded(**GIVEN))
    assert [tuple(each.values()) for each in found] == [
        ("ada", "experiment", "alone", "READ"),
        ("ada", "experiment", "fraud", "EDIT"),
        ("bob", "experiment", "alone", "MANAGE"),
        ("bob", "experiment", "fraud", "EDIT"),
        ("bob", "gateway_endpoint", "chat", "EDIT"),
        ("bob", "gateway_model_definition", "gpt", "READ"),
        ("bob", "gateway_secret", "key", "MANAGE"),
        ("bob", "registered_model", "fraud", "NO_PERMISSIONS"),
        ("bob", "scorer", "a/b/right%20%26%20wrong", "READ"),
    ]
    assert desired.users(loaded(**GIVEN)) == {
        "ada": {"password": "env:ADA", "admin": True},
        "bob": {"password": "file:/run/bob", "admin": False},
    }


@pytest.mark.parametrize(
    ("access", "path"),
    [
        ({"mode": "none", "users": USERS}, "access.users"),
        ({"mode": "token", "groups": {"risk": []}}, "access.groups"),
        ({"mode": "none", "permissions": {"default": "EDIT"}}, "access.permissions"),
        ({"mode": "basic", "users": {"admin": {"password": "env:A"}}}, "access.users.admin"),
        ({"mode": "basic", "users": USERS, "groups": {"ada": ["bob"]}}, "access.groups.ada"),
        ({"mode": "basic", "users": USERS, "groups": {"risk": ["carl"]}}, "access.groups.risk"),
        (
            {"mode": "basic", "users": USERS, "permissions": {"experiments": {"fraud": {"carl": "READ"}}}},
            "access.permissions.experiments.fraud",
        ),
        (
            {"mode": "basic", "users": USERS, "permissions": {"registeredModels": {"fraud": {"carl": "READ"}}}},
            "access.permissions.registeredModels.fraud",
        ),
        (
            {"mode": "basic", "users": USERS, "permissions": {"scorers": {"fraud": {"right": {"carl": "READ"}}}}},
            "access.permissions.scorers.fraud.right",
        ),
        (
            {"mode": "basic", "users": USERS, "permissions": {"gatewaySecrets": {"key": {"carl": "READ"}}}},
            "access.permissions.gatewaySecrets.key",
        ),
        ({"mode": "basic", "users": {"ada": {"password": "hunter2-in-plain"}}}, "access.users.ada.password"),
        ({"mode": "basic", "users": {"a:b": {"password": "env:A"}}}, "access.users.a:b"),
    ],
)
def test_what_nobody_could_mean_is_refused_by_its_key(access: dict[str, Any], path: str) -> None:
    """A name that is not there, one with two meanings, a password in plain: each by its key, and never its value."""
    with pytest.raises(SettingsError) as caught:
        loaded(**access)
    assert caught.value.problems[0].path.startswith(path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("version", "permissions", "refused"),
    [
        ("3.4.0", {"scorers": {"fraud": {"right": {"bob": "READ"}}}}, "access.permissions.scorers"),
        ("3.10.1", {"scorers": {"fraud": {"right": {"bob": "READ"}}}}, ""),
        ("3.10.1", {"gatewayEndpoints": {"chat": {"bob": "READ"}}}, "access.permissions.gatewayEndpoints"),
        ("3.10.1", {"gatewaySecrets": {"key": {"bob": "READ"}}}, "access.permissions.gatewaySecrets"),
        ("3.17.2", {"gatewayModelDefinitions": {"gpt": {"bob": "READ"}}}, ""),
    ],
)
def test_permissions_that_a_version_cannot_keep_are_refused(
    version: str, permissions: dict[str, Any], refused: str
) -> None:
    """A permission that MLflow does not know, or does not list, would never be compared."""
    access = {"mode": "basic", "users": USERS, "permissions": permissions}
    values = {"target": "local", "access": json.dumps(access), "server": json.dumps({"mlflowVersion": version})}
    if not refused:
        load(values)
        return
    with pytest.raises(SettingsError) as caught:
        load(values)
    assert [each.path for each in caught.value.problems] == [refused]


def test_an_update_compares_and_a_preview_does_not() -> None:
    """Work is there if inputs differ, a refresh saw a drift, or a real update asks; not in a preview of the same."""
    olds = {"url": "http://a", "users": USERS, "permissions": [], "updateId": "1", "drift": []}
    assert not resource.changed(olds, {**olds, "updateId": ""})
    assert resource.changed(olds, {**olds, "updateId": "2"})
    assert resource.changed({**olds, "drift": ["create the user ada"]}, {**olds, "updateId": ""})
    assert resource.changed(olds, {**olds, "users": {}, "updateId": ""})


@pytest.mark.parametrize(
    ("reference", "code"),
    [
        ("env:OF_NOBODY", "credential-not-had"),
        ("file:FOLDER/missing", "credential-not-had"),
        ("file:FOLDER/short", "users-password-refused"),
        ("file:FOLDER/right", ""),
        ("kubernetes:of-the-platform#password", ""),
    ],
)
def test_a_password_that_this_machine_cannot_give_is_refused(reference: str, code: str, tmp_path: Path) -> None:
    """It names the user; a platform's own secret is read where it is used."""
    (tmp_path / "short").write_text("short")
    (tmp_path / "right").write_text("a password of bob's own")
    users = {"bob": User.model_validate({"password": reference.replace("FOLDER", str(tmp_path))})}
    if not code:
        passwords.refuse_missing(users)
        return
    with pytest.raises(Refused, match=r"access\.users\.bob\.password") as refused:
        passwords.refuse_missing(users)
    assert refused.value.code == code


def test_an_update_without_the_passwords_is_refused_before_it_registers_anything(tmp_path: Path) -> None:
    """Users come last in an update: until this was asked first, the server already let nobody else in.

    A preview asks for none, because who reviews a change need not have the passwords.
    """
    access = {"mode": "basic", "users": {"bob": {"password": f"file:{tmp_path}/missing"}}}
    settings = Settings.model_validate({"target": "local", "access": access})
    args = LocalBackendArgs(settings=settings, folder=tmp_path / "local", project=tmp_path)

    def registered(*, preview: bool) -> int:
        platform = FakePlatform(lambda *_: {}, preview=preview)
        return len(registered_with(lambda: LocalBackend("mlflow", args), platform, stack="local", preview=preview))

    assert registered(preview=True)
    with pytest.raises(Refused):
        registered(preview=False)


def test_nobody_is_asked_if_settings_never_had_users() -> None:
    """A stack without users among its settings sends MLflow nothing, in updates and refreshes."""
    inputs = {"url": "http://127.0.0.1:9", "locator": {}, "credentials": {}, "users": {}, "permissions": []}
    assert resource.drifted(inputs) == []
    assert resource.apply(inputs, {})["made"] == []
