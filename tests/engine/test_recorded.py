"""The code of today on what each released version left: its data are kept, and its release can be gone back to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.local import processes
from tests.engine import recorded
from tests.engine.releases.support import run, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.stack import LocalStack

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

HOLDS_DATA = ("LocalCredentials", "LocalService", "LocalSupervisor")
ARCHIVES = sorted(recorded.FIXTURES.glob("*/local.tar.xz"))


@pytest.fixture(scope="module", params=ARCHIVES, ids=[path.parent.name for path in ARCHIVES])
def left(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, Any]]:
    """A stack as a released version left it, with the program of today, and the run that it holds."""
    stack, content = recorded.restore(request.param, tmp_path_factory.mktemp("recorded") / "stack")
    try:
        yield stack, content
    finally:
        try:
            ended = stack.destroy()
            assert ended.ok, ended.text
        finally:
            processes.end(stack.processes(), timeout_s=5)


def test_a_preview_replaces_nothing_that_holds_data(left: tuple[LocalStack, Any]) -> None:
    """Each resource of the old state is found under its URN, and none that holds data is deleted or made anew."""
    stack, _ = left
    done = stack.pulumi("preview", "--json", "--show-sames", "--stack", stack.name)
    assert done.ok, done.text
    steps = json.loads(done.text[done.text.index("{") :])["steps"]
    planned = {(step["op"], step["urn"].split("::")[-2].rpartition(":")[2]) for step in steps}
    found = {kind for _, kind in planned if kind in HOLDS_DATA}
    assert found == set(HOLDS_DATA)
    assert {op for op, kind in planned if kind in HOLDS_DATA} <= {"same", "update", "refresh"}
    assert not [op for op, _ in planned if op == "delete"]


def test_an_update_is_green_and_keeps_the_data(left: tuple[LocalStack, Any]) -> None:
    """It is brought up as after a restart of the machine, and its run and artifact are read through today's server."""
    stack, content = left
    stack.must_up("--refresh")
    held = recorded.read(stack.output("trackingUrl"), content["run"])
    assert {"run": content["run"], **held} == content
    assert stack.report()["verdict"] == "pass"


def test_the_old_release_can_be_gone_back_to(left: tuple[LocalStack, Any]) -> None:
    """The ledger of the old version is read, and the revision that it verified first serves again, with the data."""
    stack, content = left
    done = run(stack, "rollback", "--to", "1", "--yes", "--reason", "a test")
    assert done.code == 0, done.text
    assert serving(stack) == "1"
    assert recorded.read(stack.output("trackingUrl"), content["run"])["artifact"] == content["artifact"]
