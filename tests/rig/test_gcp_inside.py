"""A backend on Cloud Run that only its network reaches, behind Google's check: verified by a job that draws its token.

Real MLflow by the real engine on the rig, which lets callers from everywhere in: that Google keeps others out of the
network is not shown here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
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
        yield begin(
            folder,
            rig,
            VERSION,
            gcp={"access": access, "network": {"ingress": "internal"}},
            verify={"schedule": "30 * * * *"},
        )


def test_a_first_update_is_verified_from_inside(life: Life) -> None:
    """By the account of the job: the one that deploys draws no token."""
    life.stack.must_up()
    assert life.stack.outputs()["verification"]["verdict"] == "pass"
    executed = [each.job.rpartition("/")[2] for each in life.rig.jobs.executions.values()]
    assert life.naming.job("verify") in executed


def test_its_schedule_verifies_it_too(life: Life) -> None:
    """By the same job and account, with what the last update gave it; the alerts read its verdict and its end."""
    execution = life.start("verify")
    said = life.said(execution)
    assert execution.code == 0, said
    assert [each["jsonPayload"]["verdict"] for each in said if "verdict" in each.get("jsonPayload", {})] == ["pass"]


def test_a_red_one_ends_red(life: Life) -> None:
    """The account lost its right to call the service: Google answers 403 to each check."""
    service = f"{life.naming.parent}/services/{life.naming.service()}"
    life.rig.call("POST", f"v2/{service}:setIamPolicy", {"policy": {"bindings": []}})
    execution = life.start("verify")
    said = life.said(execution)
    assert execution.code == ExitCode.VERIFICATION_FAILED, said
    assert [each["jsonPayload"]["verdict"] for each in said if "verdict" in each.get("jsonPayload", {})] == ["fail"]
