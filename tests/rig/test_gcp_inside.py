"""A backend on Cloud Run that only its network reaches, behind Google's check: verified by a job that draws its token.

Real MLflow by the real engine on the rig, which lets callers from everywhere in: that Google keeps others out of the
network is not shown here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rig.clock import SERVERS
from tests.rig.gcp.life import CALLER, Life, account, begin
from tests.rig.gcp.rig import GcpRig

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(1200)]

VERSION = "3.17.2"


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack, not deployed yet."""
    folder = tmp_path_factory.mktemp("gcp-inside")
    with GcpRig(folder, SERVERS) as rig:
        access = {"identity": "iam", "principals": [f"serviceAccount:{account(rig, CALLER)}"], "secondHeader": True}
        yield begin(folder, rig, VERSION, gcp={"access": access, "network": {"ingress": "internal"}})


def test_a_first_update_is_verified_from_inside(life: Life) -> None:
    """By the account of the job: the one that deploys draws no token."""
    life.stack.must_up()
    assert life.stack.outputs()["verification"]["verdict"] == "pass"
    executed = [each.job.rpartition("/")[2] for each in life.rig.jobs.executions.values()]
    assert life.naming.job("verify") in executed
