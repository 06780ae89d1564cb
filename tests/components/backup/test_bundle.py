"""The secrets of a backup, as a target outside this machine has them."""

from __future__ import annotations

import json

import pytest

from mlflow_backend import new_keys
from mlflow_backend.backup import bundle
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.server import keys

NAMES = ("flask-secret-key", "admin-user", "admin-password", *keys.NAMES)
DRAWN = new_keys.draw()
OF_THIS_MACHINE = {
    "flask-secret-key": "f" * 32,
    "admin-password": "a-long-password",
    "api-keys": "{}",
    "api-key": "an-api-key",
    bundle.FILE: json.dumps({"inForce": DRAWN, "next": new_keys.draw()}),
}


def test_the_keys_in_force_of_this_machine_are_secrets_by_themselves_elsewhere() -> None:
    """Those of a rotation that nothing was encrypted with yet are not among them, nor is an API key."""
    expected = {"flask-secret-key": "f" * 32, "admin-user": "admin", "admin-password": "a-long-password", **DRAWN}
    assert bundle.each_alone(OF_THIS_MACHINE, NAMES) == expected


def test_what_is_alone_already_stays_with_its_administrators_name() -> None:
    """A cluster's administrator may have any."""
    found = {"flask-secret-key": "f" * 32, "admin-user": "root", "admin-password": "a-long-password", **DRAWN}
    assert bundle.each_alone(found, NAMES) == found


def test_a_bundle_that_lacks_one_is_refused_by_its_name() -> None:
    """The text has no value."""
    with pytest.raises(PlatformFailed, match="admin-password") as failed:
        bundle.each_alone({**DRAWN, "flask-secret-key": "f" * 32}, NAMES)
    assert "f" * 32 not in str(failed.value)
