"""Backends on Cloud Run whose data are protected: two in one project, and the end of one that comes back.

Real MLflow by the real engine on the rig. The tests stand in the order of a life, and share its deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.gcp.render import secrets
from tests.rig.clock import SERVERS
from tests.rig.gcp.life import Life, begin
from tests.rig.gcp.rig import GcpRig
from tests.rig.gcp.stack import GcpStack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(1200)]

VERSION: Final = "3.17.2"
_RUNS: Final = 3


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack, deployed and written to, with all that holds data protected."""
    folder = tmp_path_factory.mktemp("gcp-protected")
    with GcpRig(folder, SERVERS) as rig:
        made = begin(folder, rig, VERSION, backup={"protect": True})
        made.stack.must_up()
        made.write(_RUNS)
        yield made


def of_project(life: Life) -> dict[str, Any]:
    """Return what the project has of everything that a backend makes."""
    rig = life.rig
    return {
        "services": {name: each.generation for name, each in rig.services.kept.items()},
        "jobs": set(rig.jobs.kept),
        "databases": set(rig.databases.kept),
        "caches": set(rig.caches.kept),
        "buckets": set(rig.storage.buckets),
        "secrets": set(rig.secrets.kept),
        "accounts": set(rig.accounts.kept),
        "networks": set(rig.networks.kept),
        "alerts": set(rig.alerts.kept),
    }


def test_two_backends_share_a_project(life: Life, tmp_path: Path) -> None:
    """Neither has anything of the other's: the second is made, verified and destroyed beside the first."""
    before = of_project(life)
    other = GcpStack(tmp_path / "other", life.rig, {**life.stack.settings, "backup": {"protect": False}}, name="other")
    other.must_up()
    outputs = other.outputs()
    assert outputs["verification"]["verdict"] == "pass"
    assert outputs["trackingUrl"] != life.naming.url()
    both = of_project(life)
    assert all(len(both[kind]) == 2 * len(found) for kind, found in before.items()), (before, both)
    gone = other.destroy()
    assert gone.ok, gone.text
    assert of_project(life) == before
    assert life.runs() == life.kept["before"]


def test_a_protected_backend_is_not_destroyed(life: Life) -> None:
    """The preview that comes before it refuses, and nothing is deleted."""
    before = of_project(life)
    refused = life.stack.pulumi("destroy", "--yes", "--stack", life.stack.name)
    assert not refused.ok, refused.text
    assert of_project(life) == before
    assert life.runs() == life.kept["before"]


def test_what_is_protected_outlives_the_rest_and_serves_again(life: Life) -> None:
    """Stores, their keys and their network stay; the next update serves them, with all that was written."""
    before, url = of_project(life), life.stack.output("trackingUrl")
    gone = life.stack.pulumi("destroy", "--exclude-protected", "--yes", "--skip-preview", "--stack", life.stack.name)
    assert gone.ok, gone.text
    left = of_project(life)
    assert left == {
        **before,
        **{kind: type(before[kind])() for kind in ("services", "jobs", "accounts", "alerts")},
        "secrets": {life.naming.secret(part) for part in secrets.KEPT} & before["secrets"],
    }
    assert left["secrets"]
    life.stack.must_up()
    outputs = life.stack.outputs()
    assert (outputs["verification"]["verdict"], outputs["trackingUrl"]) == ("pass", url)
    assert life.runs() == life.kept["before"]
