"""What is wished of the local server, and its way through Pulumi's state and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from components.local import credentials, wishes
from components.settings import Settings

PORTS = {"front": 5000, "database": 5001, "cache": 5002, "store": 5003}
VERSIONS = dict.fromkeys(credentials.ALL, "v1")
INSTALLED = ("lock", "package")


def settings(**sections: object) -> Settings:
    """Return settings of the local target."""
    return Settings.model_validate({"target": "local", **sections})


def through_pulumi(value: Any) -> Any:
    """Return what Pulumi gives back: whole numbers as floats, tuples as lists."""
    return json.loads(json.dumps(value), parse_int=float)


@pytest.mark.parametrize("section", [{}, {"jobs": True}, {"workers": 4, "extraFlags": {"x-frame-options": "DENY"}}])
def test_inputs_come_back_from_the_state_as_they_went_in(section: dict[str, object]) -> None:
    """A revision is made from what the resource kept: it has to be what the settings meant."""
    wanted = settings(server=section)
    kept = wishes.server_wishes(wanted, PORTS, VERSIONS, *INSTALLED)
    assert wishes.inputs_of(through_pulumi(kept["inputs"])) == wishes.server_inputs(wanted, PORTS)


@pytest.mark.parametrize(
    ("section", "ports", "versions", "installed"),
    [
        ({"workers": 2}, PORTS, VERSIONS, INSTALLED),
        ({"mlflowVersion": "3.4.0"}, PORTS, VERSIONS, INSTALLED),
        ({"requestTimeout": 60}, PORTS, VERSIONS, INSTALLED),
        ({}, PORTS | {"database": 6001}, VERSIONS, INSTALLED),
        ({}, PORTS, VERSIONS | {credentials.DATABASE: "v2"}, INSTALLED),
        ({}, PORTS, VERSIONS | {credentials.STORE_SECRET: "v2"}, INSTALLED),
        ({}, PORTS, VERSIONS, ("another lock", "package")),
        ({}, PORTS, VERSIONS, ("lock", "another package")),
    ],
)
def test_what_changes_the_server_changes_the_wish(
    section: dict[str, object], ports: dict[str, int], versions: dict[str, str], installed: tuple[str, str]
) -> None:
    """Settings, addresses, secrets, the environment and the plugin each make a new revision."""
    before = wishes.server_wishes(settings(), PORTS, VERSIONS, *INSTALLED)
    assert wishes.server_wishes(settings(server=section), ports, versions, *installed) != before


@pytest.mark.parametrize("name", [credentials.STORE_ACCEPTED, credentials.SUPERVISOR, credentials.DATABASE_ADMIN])
def test_a_secret_that_the_server_does_not_use_changes_nothing(name: str) -> None:
    """Rotating what others use restarts no server."""
    before = wishes.server_wishes(settings(), PORTS, VERSIONS, *INSTALLED)
    assert wishes.server_wishes(settings(), PORTS, VERSIONS | {name: "v2"}, *INSTALLED) == before


def test_the_wish_holds_references_and_no_value() -> None:
    """What stands in Pulumi's state names secrets and their versions only."""
    kept = wishes.server_wishes(settings(), PORTS, VERSIONS, *INSTALLED)
    assert kept["inputs"]["database"]["password"] == credentials.DATABASE
    assert kept["secretVersions"][credentials.STORE_SECRET] == "v1"
