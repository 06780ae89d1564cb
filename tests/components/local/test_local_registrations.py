"""The local backend as it is registered: its URNs, what each part waits for, and the same in a preview."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.backup import sealing
from mlflow_backend.local import credentials
from mlflow_backend.local.backend import LocalBackend, LocalBackendArgs
from mlflow_backend.settings import Settings
from mlflow_backend.tokens import LOCAL_TIMER
from tests.components.registrations import FakePlatform, assert_as_recorded, of_type, registered_with, snapshot

if TYPE_CHECKING:
    from pulumi.runtime.mocks import MockResourceArgs

    from tests.components.registrations import Registered

SNAPSHOTS = Path(__file__).parent / "snapshots"
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "token": {"access": {"mode": "token"}, "database": {"maxConnections": 80}},
}


SCHEDULED = {"backup": {"destination": "/backups", "recoveryKey": sealing.public_key(sealing.new_key())}}


ADDED: dict[str, dict[str, Any]] = {
    "LocalCredentials": {"versions": dict.fromkeys(credentials.ALL, "v1")},
    "LocalServer": {"revision": "1"},
}
"""What this machine adds to a resource of a kind, beside a port and an identity for each service."""


def record(variant: str, folder: Path, *, preview: bool = False) -> list[Registered]:
    """Register a variant's backend and return everything that was registered."""
    args = LocalBackendArgs(
        settings=Settings.model_validate({"target": "local", **VARIANTS.get(variant, SCHEDULED)}),
        folder=folder / "local",
        project=folder,
    )
    return registered_with(
        lambda: LocalBackend("mlflow", args), FakePlatform(_added, preview=preview), stack="local", preview=preview
    )


def _added(args: MockResourceArgs, kind: str) -> dict[str, Any]:
    return {"listens": 20_001.0, "identity": f"{args.name}-v1"} if kind == "LocalService" else ADDED.get(kind, {})


def lines(registered: list[Registered]) -> str:
    """Return the snapshot's lines, with what each resource waits for, and whether it is protected."""
    names = {each.urn: each.name for each in registered}
    found = {each.urn: f"{each.name}: {' '.join(sorted(names[urn] for urn in each.needs))}" for each in registered}
    kept = sorted(each.name for each in registered if each.protect or each.retained)
    waits = "".join(f"{line}\n" for line in sorted(found.values()))
    return f"{snapshot(registered)}\nwaits for\n{waits}\nprotected or retained\n{' '.join(kept) or 'none'}\n"


@pytest.mark.parametrize("variant", VARIANTS)
def test_urns_do_not_change_unnoticed(variant: str, tmp_path: Path) -> None:
    """A child that is renamed or moved is stopped and started anew. UPDATE_SNAPSHOTS=1 records what is meant."""
    assert_as_recorded(lines(record(variant, tmp_path)), SNAPSHOTS / "local.txt")


def test_a_preview_knows_as_many_resources(tmp_path: Path) -> None:
    """Before anything exists, nothing is missing from the plan and nothing fails on an unknown."""
    made = record("default", tmp_path)
    assert {each.urn for each in record("default", tmp_path, preview=True)} == {each.urn for each in made}


def test_a_timer_is_added_to_what_is_there_if_backups_have_a_destination(tmp_path: Path) -> None:
    """It starts nothing before there is something to back up, and no resource of a stack without backups moves."""
    without = {each.urn for each in record("default", tmp_path)}
    scheduled = record("scheduled", tmp_path)
    (timer,) = [each for each in scheduled if each.urn not in without]
    assert len(scheduled) == len(without) + 1
    assert timer.type == LOCAL_TIMER
    assert {each.urn for each in scheduled if each.name == "mlflow-server"} <= set(timer.needs)
    assert [work["schedule"] for work in timer.inputs["works"]] == ["0 2 * * *", "0 4 * * 0"]


def test_settings_reach_the_part_that_they_are_for(tmp_path: Path) -> None:
    """Variants that register the same resources differ in the inputs of single ones."""
    made = {variant: {each.name: each.inputs for each in record(variant, tmp_path)} for variant in VARIANTS}
    assert [made[variant]["mlflow-database"]["maxConnections"] for variant in VARIANTS] == [300, 80]
    (first,), (second,) = (of_type(record(variant, tmp_path), "Verification") for variant in VARIANTS)
    assert (first.inputs["access"], second.inputs["access"]) == (False, True)
