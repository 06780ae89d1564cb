"""A backend on Cloud Run behind Identity-Aware Proxy: verified through it, also at a candidate's tag.

Real MLflow by the real engine on the rig. The tests stand in the order of a life, and share its deployment.
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
    """The stack, not deployed yet, in a project in which somebody may come in."""
    folder = tmp_path_factory.mktemp("gcp-iap")
    with GcpRig(folder, SERVERS) as rig:
        principals = [f"serviceAccount:{account(rig, CALLER)}"]
        access = {"identity": "iap", "principals": principals}
        yield begin(folder, rig, VERSION, access={"mode": "cloudIdentity"}, gcp={"access": access})


def status(life: Life, url: str, token: str) -> int:
    """Return how MLflow's own route is answered to a token, '' for none."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return int(life.rig.ask(f"{url}/api/2.0/mlflow/experiments/get?experiment_id=0", headers=headers).status)


def test_a_first_update_is_verified_through_the_proxy(life: Life) -> None:
    """By what the account that verifies signs; clients find in the outputs what theirs must be for."""
    life.stack.must_up()
    outputs = life.stack.outputs()
    assert outputs["verification"]["verdict"] == "pass"
    assert f"export MLFLOW_BACKEND_AUDIENCE={life.naming.url()}/*" in outputs["client"]
    assert life.service["iapEnabled"] is True
    assert not life.service.get("invokerIamDisabled")


def test_only_who_is_named_comes_in(life: Life) -> None:
    """Each thing that is wrong alone, and a control, against the deployed server."""
    who, url = account(life.rig, CALLER), life.naming.url()
    signed, google = life.rig.tokens.of_itself, life.rig.tokens.identity
    found = {
        "right": status(life, url, signed(who, f"{url}/*")),
        "none": status(life, url, ""),
        "for another host": status(life, url, signed(who, "https://other.example/*")),
        "Cloud Run's own": status(life, url, google(who, url)),
        "of somebody else": status(life, url, signed(account(life.rig, "somebody"), f"{url}/*")),
    }
    assert found == {
        "right": 200, "none": 401, "for another host": 401, "Cloud Run's own": 401, "of somebody else": 403,
    }  # fmt: skip


def test_a_candidate_is_verified_at_its_tag(life: Life) -> None:
    """The token of the users' URL does not open the tag's: verification has one for each."""
    before = life.serving()
    life.stack.write_settings(server={"workers": 2})
    life.stack.must_up()
    after = life.serving()
    assert after != before
    tag = f"https://{life.naming.host(life.naming.tag_of(after))}"
    who = account(life.rig, CALLER)
    assert status(life, tag, life.rig.tokens.of_itself(who, f"{life.naming.url()}/*")) == 401
    assert status(life, tag, life.rig.tokens.of_itself(who, f"{tag}/*")) == 200


def test_a_rollback_is_verified_through_it_too(life: Life) -> None:
    """At the older revision's tag, and then for the users."""
    before = life.serving()
    done = life.stack.script("rollback", "--reason", "slow", "--yes")
    assert done.code == 0, done.text
    assert life.serving() != before
