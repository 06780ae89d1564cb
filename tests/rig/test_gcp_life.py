"""The life of a backend on Cloud Run, by the real engine and real MLflow, from a first update to `destroy`.

The tests stand in the order of a life, and share its deployment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.engine.stack import nothing_changed
from tests.rig.clock import SERVERS
from tests.rig.gcp.life import Life, begin
from tests.rig.gcp.rig import GcpRig
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

_SOON_S: Final = 120
OLD, NEW = "3.10.1", "3.17.2"


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack in an empty project."""
    folder = tmp_path_factory.mktemp("gcp-life")
    with GcpRig(folder, SERVERS) as rig:
        yield begin(folder, rig, OLD, NEW)


def test_a_first_update_ends_verified(life: Life) -> None:
    """From an empty project to a server that was seen to work, through the URL that users call."""
    life.stack.must_up()
    outputs = life.stack.outputs()
    assert outputs["trackingUrl"] == life.naming.url()
    assert outputs["verification"]["verdict"] == "pass"
    assert outputs["release"] == {**outputs["release"], "mlflowVersion": OLD, "revision": life.serving()}
    assert life.rig.ask(f"{life.naming.url()}/health").status == 200


def test_a_repeated_update_changes_nothing(life: Life) -> None:
    """It verifies again, and neither traffic nor template differs."""
    before = life.service["generation"]
    said = life.stack.must_up("--refresh").text
    assert nothing_changed(said), said
    assert life.service["generation"] == before


def test_a_new_release_is_verified_before_users_meet_it(life: Life) -> None:
    """The old one keeps a tag to go back to, and the update after it changes nothing."""
    old = life.serving()
    life.stack.write_settings(server={"workers": 2})
    life.stack.must_up()
    assert life.serving() != old
    tags = {each["tag"]: each["revision"] for each in life.service["traffic"] if "tag" in each}
    assert set(tags.values()) == {old, life.serving()}
    said = life.stack.must_up("--refresh").text
    assert nothing_changed(said), said


def test_a_rollback_moves_the_traffic(life: Life) -> None:
    """It is verified, and neither the next update nor a refresh undoes it; lifting the pin does."""
    new = life.serving()
    back = life.stack.script("rollback", "--reason", "a test", "--yes")
    assert back.code == 0, back.text
    old = life.serving()
    assert old != new
    life.stack.write_settings(release={"acceptPin": True})
    life.stack.must_up("--refresh")
    assert life.serving() == old
    assert life.stack.script("rollback", "--unpin").code == 0
    life.stack.must_up()
    assert life.serving() == new


def test_an_upgrade_migrates_the_database(life: Life) -> None:
    """A dump first, one writer, then the candidate."""
    life.serve(NEW)
    said = life.stack.up()
    assert said.ok, said.text
    outputs = life.stack.outputs()
    assert (outputs["release"]["mlflowVersion"], outputs["verification"]["verdict"]) == (NEW, "pass")
    assert life.rig.ask(f"{life.naming.url()}/health").status == 200


def test_destroy_ends_every_instance(life: Life) -> None:
    """Of a stack that protects nothing, nothing is left, although Google keeps the database's connection for days."""
    done = life.stack.destroy()
    assert done.ok, done.text
    assert not life.rig.services.kept
    assert not life.rig.networks.kept
    assert not life.rig.networks.connections
    until(lambda: life.rig.live == [], what="the end of all instances", deadline_s=_SOON_S)
