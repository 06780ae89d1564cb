"""A backend on Cloud Run behind two checks: Google's by its second header, and MLflow's own by Authorization.

Real MLflow by the real engine on the rig. The tests stand in the order of a life, and share its deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rig.clock import SERVERS
from tests.rig.gcp.life import CALLER, Life, account, begin
from tests.rig.gcp.rig import GcpRig

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = [pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(1200)]

VERSION = "3.17.2"
GATE, OWN = "X-Serverless-Authorization", "Authorization"


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack, deployed, in a project in which somebody may come in."""
    folder = tmp_path_factory.mktemp("gcp-two")
    with GcpRig(folder, SERVERS) as rig:
        principals = [f"serviceAccount:{account(rig, CALLER)}"]
        access = {"identity": "iam", "principals": principals, "secondHeader": True}
        made = begin(folder, rig, VERSION, gcp={"access": access})
        made.stack.must_up()
        yield made


def status(life: Life, headers: Mapping[str, str]) -> int:
    """Return how MLflow's own route is answered."""
    url = f"{life.naming.url()}/api/2.0/mlflow/experiments/get?experiment_id=0"
    return int(life.rig.ask(url, headers=dict(headers)).status)


def test_a_first_update_is_verified_through_both(life: Life) -> None:
    """Also that the server refuses who has no login of its own; clients find the header in the outputs."""
    outputs = life.stack.outputs()
    assert outputs["verification"]["verdict"] == "pass"
    assert f"export MLFLOW_BACKEND_IDENTITY_HEADER={GATE}" in outputs["client"]
    assert f"export MLFLOW_BACKEND_AUDIENCE={life.naming.url()}" in outputs["client"]


def test_each_check_is_on(life: Life) -> None:
    """Google's answers 403, and the server's 401; with both somebody comes in, and writes."""
    right = life.login()
    assert set(right) >= {GATE}
    own = {name: each for name, each in right.items() if name != GATE}
    found = {
        "both": status(life, right),
        "Google's alone": status(life, {GATE: right[GATE]}),
        "the server's alone": status(life, own),
        "a wrong password": status(life, {GATE: right[GATE], OWN: "Basic eDp5"}),
    }
    assert found == {"both": 200, "Google's alone": 401, "the server's alone": 401, "a wrong password": 401}
    life.write(1)
    assert len(life.runs()) == 1


def test_a_candidate_is_verified_through_both_at_its_tag(life: Life) -> None:
    """The candidate passes Google's check and the server's own, and then gets the traffic."""
    before = life.serving()
    life.stack.write_settings(server={"workers": 2})
    life.stack.must_up()
    assert life.serving() != before
