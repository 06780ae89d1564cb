"""A backend on Cloud Run over stores that a team has already: refused if they cannot serve, else used and left alone.

Real MLflow by the real engine on the rig. The tests stand in the order of a life, and share its deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.rig.clock import SERVERS
from tests.rig.gcp import team
from tests.rig.gcp.life import Life, begin
from tests.rig.gcp.rig import GcpRig

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

VERSION, RUNS = "3.17.2", 2
BUCKET, OLD_BUCKET = "team-artifacts", "team-lists"


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack, not deployed yet, whose every store is the team's."""
    folder = tmp_path_factory.mktemp("gcp-adopted")
    with GcpRig(folder, SERVERS) as rig:
        network = team.network(rig, "shared")
        host, password = team.database(rig, "team-db", network=network, databases=("tracking", "mlflow_auth"))
        cache, url = team.cache(rig, "team-cache", network=network)
        team.bucket(rig, BUCKET)
        team.bucket(rig, OLD_BUCKET, uniform=False)
        ca = rig.authority.root.read_text()
        made = begin(
            folder,
            rig,
            VERSION,
            network={"mode": "adopt", "existing": network},
            database={"mode": "adopt", "existing": f"postgresql://{host}:5432/tracking"},
            cache={"mode": "adopt", "existing": f"rediss://{cache}"},
            artifacts={"mode": "adopt", "existing": f"gs://{BUCKET}/ml"},
            gcp={
                "network": {"subnet": team.subnet(rig, "run", network=network)},
                "database": {
                    "secret": team.secret(rig, "team-db-password", password),
                    "ca": team.secret(rig, "team-db-ca", ca),
                },
                "cache": {
                    "secret": team.secret(rig, "team-cache-url", url),
                    "ca": team.secret(rig, "team-cache-ca", ca),
                },
            },
        )
        made.kept["stores"] = stores(made)
        yield made


def stores(life: Life) -> dict[str, Any]:
    """Return everything of the team's that an update and a destroy must leave there."""
    rig = life.rig
    return {
        "databases": set(rig.databases.kept),
        "caches": set(rig.caches.kept),
        "buckets": set(rig.storage.buckets),
        "networks": set(rig.networks.kept),
        "connections": set(rig.networks.connections),
        "secrets": {each for each in rig.secrets.kept if each.startswith("team-")},
    }


def test_a_store_that_cannot_serve_stops_the_preview(life: Life) -> None:
    """With the setting, the finding and the command; nothing is made."""
    right = life.stack.settings["artifacts"]["existing"]
    life.stack.write_settings(artifacts={"existing": f"gs://{OLD_BUCKET}/ml"})
    refused = life.stack.pulumi("preview", "--stack", life.stack.name)
    life.stack.write_settings(artifacts={"existing": right})
    assert not refused.ok, refused.text
    assert OLD_BUCKET in refused.text
    assert "--uniform-bucket-level-access" in refused.text
    assert not life.rig.services.kept


@pytest.mark.full
def test_the_teams_stores_are_served(life: Life) -> None:
    """Verified, with no store made beside them; the ledger lies below the prefix too."""
    life.stack.must_up()
    assert life.stack.outputs()["verification"]["verdict"] == "pass"
    assert stores(life) == life.kept["stores"]
    life.write(RUNS)
    written = life.rig.storage.buckets[BUCKET].objects
    assert written
    assert all(name.startswith("ml/") for name in written)
    assert any(name.startswith("ml/_backend/ledger/") for name in written)


@pytest.mark.full
def test_the_teams_stores_outlive_the_stack_and_are_served_again(life: Life) -> None:
    """`destroy` leaves every store with what is in it, and the next update serves it."""
    gone = life.stack.destroy()
    assert gone.ok, gone.text
    assert not life.rig.services.kept
    assert stores(life) == life.kept["stores"]
    life.stack.must_up()
    assert life.runs() == life.kept["before"]
