"""The desired state of the local server, and its way through Pulumi's state and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlflow_backend.codec import from_document, to_document
from mlflow_backend.local import credentials, desired
from mlflow_backend.local.desired import DesiredServer
from mlflow_backend.local.state import StateDir
from mlflow_backend.settings import Settings

STATE = StateDir(Path("/stack"))
PORTS = {"front": 5000, "database": 5001, "cache": 5002, "store": 5003}
VERSIONS = dict.fromkeys(credentials.ALL, "v1")
INSTALLED = {"lock": "lock", "package": "package"}


def settings(**sections: object) -> Settings:
    """Return settings of the local target."""
    return Settings.model_validate({"target": "local", **sections})


def through_pulumi(value: Any) -> Any:
    """Return what Pulumi gives back: whole numbers as floats, tuples as lists."""
    return json.loads(json.dumps(value), parse_int=float)


def server(
    wanted: Settings | None = None,
    ports: dict[str, int] = PORTS,
    versions: dict[str, str] = VERSIONS,
    installed: dict[str, str] = INSTALLED,
) -> DesiredServer:
    """Return the desired server."""
    return desired.server(wanted or settings(), STATE, ports=ports, versions=versions, **installed)


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
def test_what_comes_back_from_the_state_is_what_went_in(sections: dict[str, object]) -> None:
    """A revision is made from what the resource kept: types count too, because `4 == 4.0`, and no flag takes 4.0."""
    wanted = server(settings(**sections))
    kept = from_document(DesiredServer, through_pulumi(to_document(wanted)))
    assert repr(kept) == repr(wanted)
    assert kept.identity == wanted.identity


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
        ({}, PORTS, VERSIONS, INSTALLED | {"lock": "another"}),
        ({}, PORTS, VERSIONS, INSTALLED | {"package": "another"}),
    ],
)
def test_what_changes_the_server_is_another_release(
    section: dict[str, object], ports: dict[str, int], versions: dict[str, str], installed: dict[str, str]
) -> None:
    """Settings, addresses, secrets, the environment and the plugin each make a new revision."""
    changed = server(settings(**section), ports, versions, installed)
    assert changed != server()
    assert changed.identity != server().identity


@pytest.mark.parametrize("name", [credentials.STORE_ACCEPTED, credentials.SUPERVISOR, credentials.DATABASE_ADMIN])
def test_a_secret_that_the_server_does_not_use_changes_nothing(name: str) -> None:
    """Rotating what others use restarts no server."""
    assert server(versions=VERSIONS | {name: "v2"}) == server()


def test_the_desired_server_holds_references_and_no_value() -> None:
    """What stands in Pulumi's state names secrets and their versions only."""
    document = to_document(server())
    assert document["description"]["secret_environment"]["PGPASSWORD"]["text"] == f"{{{credentials.DATABASE}}}"
    assert document["secret_versions"][credentials.STORE_SECRET] == "v1"


def test_a_password_is_rotated_by_its_version_alone() -> None:
    """Basic auth's secrets make a new revision if they are used, and else none."""
    basic = settings(access={"mode": "basic"})
    rotated = VERSIONS | {credentials.ADMIN: "v2"}
    assert server(basic, versions=rotated) != server(basic)
    assert server(versions=rotated) == server()


def test_api_keys_are_named_by_their_file_and_have_no_version_there() -> None:
    """Servers read the keys by themselves: a key that is added or revoked makes no revision."""
    token = settings(access={"mode": "token"})
    assert server(token).description.environment["MLFLOW_BACKEND_API_KEYS"] == "/stack/credentials/api-keys"
    assert server(token, versions=VERSIONS | {credentials.API_KEYS: "v2"}) == server(token)


def test_a_server_gets_its_ports_when_a_revision_is_made() -> None:
    """The description is made once: only the ports are put into it, by flag and by variable."""
    placed = server().description.listening(port=7001, metrics_port=7002)
    assert placed.argv[placed.argv.index("--port") + 1] == "7001"
    assert placed.environment["MLFLOW_BACKEND_METRICS_PORT"] == "7002"
    assert placed.port == 7001
