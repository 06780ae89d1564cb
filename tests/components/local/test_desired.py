"""What is wished of the local server, and its way through Pulumi's state and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.local import credentials, desired
from mlflow_backend.local.state import StateDir
from mlflow_backend.settings import Settings

if TYPE_CHECKING:
    from mlflow_backend.server import ServerInputs

STATE = StateDir(Path("/stack"))
PORTS = {"front": 5000, "database": 5001, "cache": 5002, "store": 5003}
VERSIONS = dict.fromkeys(credentials.ALL, "v1")
INSTALLED = {"environmentLock": "lock", "package": "package"}


def settings(**sections: object) -> Settings:
    """Return settings of the local target."""
    return Settings.model_validate({"target": "local", **sections})


def through_pulumi(value: Any) -> Any:
    """Return what Pulumi gives back: whole numbers as floats, tuples as lists."""
    return json.loads(json.dumps(value), parse_int=float)


def inputs(wanted: Settings, ports: dict[str, int] = PORTS) -> ServerInputs:
    """Return what the server is described from."""
    return desired.server_inputs(wanted, ports, desired.access_of(wanted, STATE))


def wish(
    wanted: Settings | None = None,
    ports: dict[str, int] = PORTS,
    versions: dict[str, str] = VERSIONS,
    installed: dict[str, str] = INSTALLED,
) -> dict[str, Any]:
    """Return the wish as the resource keeps it."""
    return desired.server_wishes(inputs(wanted or settings(), ports), versions, installed)


@pytest.mark.parametrize(
    "sections",
    [
        {},
        {"server": {"jobs": True}},
        {"server": {"workers": 4, "extraFlags": {"x-frame-options": "DENY"}}},
        {"access": {"mode": "basic"}},
        {"access": {"mode": "token", "requestsPerMinute": 60}},
        {"access": {"mode": "token"}},
    ],
)
def test_inputs_come_back_from_the_state_as_they_went_in(sections: dict[str, object]) -> None:
    """A revision is made from what the resource kept: it has to be what the settings meant."""
    wanted = settings(**sections)
    kept = wish(wanted)
    assert desired.inputs_of(through_pulumi(kept["inputs"])) == inputs(wanted)


@pytest.mark.parametrize(
    ("section", "ports", "versions", "installed"),
    [
        ({"server": {"workers": 2}}, PORTS, VERSIONS, INSTALLED),
        ({"server": {"mlflowVersion": "3.4.0"}}, PORTS, VERSIONS, INSTALLED),
        ({"server": {"requestTimeout": 60}}, PORTS, VERSIONS, INSTALLED),
        ({"access": {"mode": "basic"}}, PORTS, VERSIONS, INSTALLED),
        ({"access": {"mode": "token"}}, PORTS, VERSIONS, INSTALLED),
        ({}, PORTS | {"database": 6001}, VERSIONS, INSTALLED),
        ({}, PORTS, VERSIONS | {credentials.DATABASE: "v2"}, INSTALLED),
        ({}, PORTS, VERSIONS | {credentials.STORE_SECRET: "v2"}, INSTALLED),
        ({}, PORTS, VERSIONS, INSTALLED | {"environmentLock": "another"}),
        ({}, PORTS, VERSIONS, INSTALLED | {"package": "another"}),
    ],
)
def test_what_changes_the_server_changes_the_wish(
    section: dict[str, object], ports: dict[str, int], versions: dict[str, str], installed: dict[str, str]
) -> None:
    """Settings, addresses, secrets, the environment and the plugin each make a new revision."""
    before = wish()
    assert wish(settings(**section), ports, versions, installed) != before


@pytest.mark.parametrize("name", [credentials.STORE_ACCEPTED, credentials.SUPERVISOR, credentials.DATABASE_ADMIN])
def test_a_secret_that_the_server_does_not_use_changes_nothing(name: str) -> None:
    """Rotating what others use restarts no server."""
    before = wish()
    assert wish(versions=VERSIONS | {name: "v2"}) == before


def test_the_wish_holds_references_and_no_value() -> None:
    """What stands in Pulumi's state names secrets and their versions only."""
    kept = wish()
    assert kept["inputs"]["database"]["password"] == credentials.DATABASE
    assert kept["secretVersions"][credentials.STORE_SECRET] == "v1"


def test_a_password_is_rotated_by_its_version_alone() -> None:
    """Basic auth's secrets make a new revision where they are used, and nowhere else."""
    basic = settings(access={"mode": "basic"})
    rotated = VERSIONS | {credentials.ADMIN: "v2"}
    assert wish(basic, versions=rotated) != wish(basic)
    assert wish(versions=rotated) == wish()


def test_api_keys_are_named_by_their_file_and_are_in_no_wish() -> None:
    """Servers read the keys by themselves: a key that is added or revoked makes no revision."""
    token = settings(access={"mode": "token"})
    assert inputs(token).access.keys == "/stack/credentials/api-keys"
    assert wish(token, versions=VERSIONS | {credentials.API_KEYS: "v2"}) == wish(token)
