"""What goes wrong on Cloud Run and what is large: a candidate that crashes, a killed update, 200 MiB at once.

Real MLflow by the real engine on the rig; the tests share one deployment and stand in the order of its life: each
begins where the one before ended.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from tests.rig.clock import SERVERS
from tests.rig.gcp.life import Life, begin
from tests.rig.gcp.rig import GcpRig
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

VERSION, CRASHING, FOREIGN = "3.17.2", "crashing", "foreign"
_RUNS = 3
_SOON_S = 180
_MIB = 1 << 20
_ARTIFACT_MIB = 200


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack, written to, in a project that has the image of a server that crashes, too."""
    folder = tmp_path_factory.mktemp("gcp-releases")
    with GcpRig(folder, SERVERS) as rig:
        made = begin(folder, rig, VERSION, broken={CRASHING: "crash"}, foreign={FOREIGN: "linux/arm64"})
        made.stack.must_up()
        made.kept["first"] = made.stack.outputs()["release"]["revision"]
        made.write(_RUNS)
        yield made


def test_a_candidate_that_crashes_is_never_served(life: Life) -> None:
    """The update is red with Cloud Run's own words; nobody else has traffic or a tag, and its instances are gone."""
    life.serve(VERSION, CRASHING)
    outcome = life.stack.up()
    life.serve(VERSION)
    assert not outcome.ok, outcome.text
    assert "is not ready" in outcome.text, outcome.text
    assert life.tags() == {life.kept["first"]}
    life.only(life.kept["first"])


@pytest.mark.full
def test_a_release_that_did_not_start_is_tried_again(life: Life) -> None:
    """Its revision's name is taken for ever, so that the same settings make another one."""
    before = life.revisions()
    life.serve(VERSION, CRASHING)
    outcome = life.stack.up()
    life.serve(VERSION)
    assert not outcome.ok, outcome.text
    assert len(life.revisions() - before) == 1, outcome.text
    assert life.tags() == {life.kept["first"]}
    life.only(life.kept["first"])


def test_an_image_of_another_architecture_is_refused_before_anything_changes(life: Life) -> None:
    """Cloud Run would say of its container only that it did not start."""
    before = life.service["generation"]
    life.serve(VERSION, FOREIGN)
    outcome = life.stack.up()
    life.serve(VERSION)
    assert not outcome.ok, outcome.text
    assert "linux/arm64" in outcome.text, outcome.text
    assert life.service["generation"] == before


def test_a_killed_update_leaves_users_alone_and_the_next_one_ends_it(life: Life) -> None:
    """Between creation and promotion: the old revision serves, and afterwards no candidate has a tag."""
    life.stack.write_settings(server={"requestTimeout": 120})
    update = life.stack.start_up()

    def staged() -> bool:
        assert update.poll() is None, life.stack.background_log.read_text()
        return any("tag" in each and not each.get("percent") for each in life.service["traffic"])

    try:
        until(staged, what="a candidate", deadline_s=_SOON_S)
    finally:
        life.stack.kill(update)
    assert life.serving() == life.kept["first"]
    assert life.runs() == life.kept["before"]
    # The engine has noted what it began, and asks what became of it.
    life.stack.pulumi("cancel", "--yes", "--stack", life.stack.name)
    life.stack.must_up("--refresh")
    life.kept["second"] = life.stack.outputs()["release"]["revision"]
    assert life.kept["second"] != life.kept["first"]
    life.only(life.kept["second"])
    assert life.tags() == {life.kept["first"], life.kept["second"]}


def test_an_artifact_of_200_mib_goes_up_and_down(life: Life) -> None:
    """Through the public URL and the front, in one request each, which Cloud Run refuses of an HTTP/1 container."""
    piece = bytes(range(256)) * 4096
    digest = hashlib.sha256(piece * _ARTIFACT_MIB).hexdigest()
    url = f"{life.naming.url()}/api/2.0/mlflow-artifacts/artifacts/{life.kept['experiment']}/large"
    up = life.rig.ask(url, "PUT", headers=life.login(), body=piece * _ARTIFACT_MIB, timeout_s=_SOON_S)
    assert up.status == 200, up.data
    down = life.rig.ask(url, headers=life.login(), timeout_s=_SOON_S)
    assert hashlib.sha256(down.data).hexdigest() == digest


@pytest.mark.full
def test_a_killed_rollback_leaves_users_alone_and_the_next_run_ends_it(life: Life) -> None:
    """Killed while the older revision is verified at its tag: the newer one serves, and updates wait for the rollback.

    Run again, the command finishes it: the older one serves, pinned, and nobody has a tag that an update did not give.
    """
    tags = life.tags()
    command = life.stack.start_script("rollback", "--reason", "a test", "--yes")

    def staged() -> bool:
        assert command.poll() is None, life.stack.background_log.read_text()
        return any(each.variables.get("K_REVISION") == life.kept["first"] for each in life.rig.live)

    try:
        until(staged, what="an instance of the older revision", deadline_s=_SOON_S)
        assert life.serving() == life.kept["second"]
    finally:
        life.stack.kill(command)
    assert life.serving() == life.kept["second"]
    assert life.runs() == life.kept["before"]
    waiting = life.stack.up()
    assert not waiting.ok
    assert f"rollback to revision {life.kept['first']}" in waiting.text, waiting.text
    # The lock that it left is taken over, because its holder has ended on this machine.
    done = life.stack.script("rollback", "--yes")
    assert done.code == 0, done.text
    life.only(life.kept["first"])
    assert life.runs() == life.kept["before"]
    assert life.tags() == tags
