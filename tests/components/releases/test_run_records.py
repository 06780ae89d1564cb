"""What a rollback asks of its target, and what the ledger keeps of it.

The cases were chosen by mutation testing (docs/mutation.md), as those of test_plan_cases.py.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import ExitCode, WaitOutcome
from mlflow_backend.releases import steps
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.records import Kind, VerifiedRelease
from mlflow_backend.releases.run import RollbackOptions, begin, resume
from mlflow_backend.schema import Heads
from tests.components.releases.rollbacks import SAME, Slow, Unsure, changed, ended, same, silent
from tests.components.releases.world import Killed, World

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.releases.records import Dump
    from mlflow_backend.verify.report import Report


def releases(world: World) -> list[VerifiedRelease]:
    """The ledger's records of verified releases beyond those that the world began with."""
    bodies = [record.body for record in world.ledger.read().records]
    return [body for body in bodies if isinstance(body, VerifiedRelease)][len(world.versions) :]


def detail(world: World) -> dict[str, Any]:
    """What the ledger's last record says of a rollback."""
    body = world.ledger.read().records[-1].body
    assert isinstance(body, dict)
    return body


class Attentive(World):
    """A world that keeps what it is asked with."""

    asked: tuple[Any, ...] = ()

    def wait(self, revision: str) -> WaitOutcome:
        """Keep that it waited."""
        self.asked += (("wait", revision),)
        return super().wait(revision)

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Keep profile and deadline."""
        self.asked += (("verify", revision, profile, deadline_s),)
        return super().verify(revision, profile=profile, deadline_s=deadline_s)

    def restore(self, dump: Dump, version: str) -> None:
        """Keep which version's schema it is."""
        self.asked += (("restore", dump.id, version),)
        super().restore(dump, version)


def test_a_target_is_asked_for_the_desired_state(tmp_path: Path) -> None:
    """Profile and deadline of the verification are the settings'; it is waited for once."""
    world = Attentive(tmp_path, {"1": "3.4.0", "2": "3.17.2"}, live="3.4.0")
    world.ledger.add_dump(world.dump("3.17.2"))
    world.database = {"head": "head-3.17.2", "rows": 0}
    made = plan(world.rollback_context(), Request(restore=True))
    begin(world, made, RollbackOptions(reason="", profile="full", deadline_s=77.0), say=silent)
    assert world.asked == (("restore", "d1", "3.4.0"), ("wait", "1"), ("verify", "1", "full", 77.0))


def test_what_was_verified_again_is_recorded(tmp_path: Path) -> None:
    """As a release, by the identity of that verification; the rollback with what it restored and lost."""
    world = changed(tmp_path)
    ended(world, Request(restore=True))
    (again,) = releases(world)
    assert (again.revision, again.verdict) == ("1", "pass")
    assert re.fullmatch("[0-9a-f]{16}", again.verification_id)
    assert {"restored": "d1", "verdict": "pass", "lost runs": "1"}.items() <= detail(world).items()


def test_a_rollback_that_was_not_verified_says_so(tmp_path: Path) -> None:
    """No release is recorded, so that no rollback takes it for a verified one."""
    world = same(tmp_path)
    ended(world, Request(verify=False))
    assert releases(world) == []
    assert {"restored": "", "verdict": "not verified"}.items() <= detail(world).items()


def test_one_whose_verification_could_not_tell_is_no_verified_release(tmp_path: Path) -> None:
    """The rollback is recorded, with that verdict."""
    world = Unsure(tmp_path, SAME, live="3.4.0")
    ended(world)
    assert releases(world) == []
    assert detail(world)["verdict"] == "inconclusive"


def test_a_service_without_a_ledger_gets_no_record(tmp_path: Path) -> None:
    """Its rollback is verified, and nothing else is written than the journal."""
    world = same(tmp_path)
    before = len(world.ledger.read().records)
    ended(world, Request(record=False))
    assert len(world.ledger.read().records) == before


def test_a_target_that_is_not_ready_is_the_platforms_failure(tmp_path: Path) -> None:
    """Not the verification's, which was not reached."""
    assert ended(Slow(tmp_path, SAME, live="3.4.0")).exit_code is ExitCode.PLATFORM_FAILED


def test_a_target_whose_schema_nobody_knows_can_be_gone_back_to(tmp_path: Path) -> None:
    """A service of others, of which nothing serves: there is no head to compare with, and nothing to restore."""
    world = same(tmp_path)
    world.running, world.servers = None, set()
    made = plan(world.rollback_context(), Request(to="1"))
    assert made.start is None
    done = begin(world, replace(made, goal=replace(made.goal, heads=None)), RollbackOptions(reason=""), say=silent)
    assert (done.exit_code, world.running) == (ExitCode.DONE, "1")
    assert detail(world)["from"] == ""


class Witness(World):
    """A world that keeps what it was asked for as a record of a release."""

    recorded: tuple[tuple[str, str, str], ...] = ()

    def release(self, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        """Keep both."""
        self.recorded += ((revision, verification_id, verdict),)
        return super().release(revision, verification_id=verification_id, verdict=verdict)


def test_a_block_says_why_and_since_when_and_is_written_once(tmp_path: Path) -> None:
    """Killed after the block and run again: the ledger holds one, in whole seconds of UTC."""
    dry = same(tmp_path / "dry")
    ended(dry, automatic=True)
    blocked = len(dry.calls) - dry.calls[::-1].index("write")
    for place in range(blocked - 3, blocked + 1):
        world = Witness(tmp_path / str(place), SAME, live="3.4.0")
        world.kill_at = (place, True)
        with pytest.raises(Killed):
            ended(world, automatic=True)
        world.kill_at = None
        resume(world, to=None, say=silent)
        (block,) = world.ledger.state().blocks
        assert [record.kind for record in world.ledger.read().records].count(Kind.BLOCK) == 1
        assert (block.revision, block.instead, block.reason) == ("2", "1", "slow")
        assert (block.since.utcoffset(), block.since.microsecond) == (timedelta(0), 0)
        assert ("2", "", "fail") in world.recorded


@pytest.mark.parametrize(
    ("live", "required", "there"),
    [
        (Heads(tracking="a"), {"tracking": "a", "auth": None}, True),
        (Heads(tracking="a", auth="x"), {"tracking": "a", "auth": None}, True),
        (Heads(tracking="a"), {"tracking": "a", "auth": "x"}, True),
        (Heads(tracking="a", auth="x"), {"tracking": "a", "auth": "x"}, True),
        (Heads(tracking="a", auth="y"), {"tracking": "a", "auth": "x"}, False),
        (Heads(tracking="b", auth="x"), {"tracking": "a", "auth": "x"}, False),
        (None, {"tracking": "a", "auth": None}, False),
        (Heads(tracking="a"), None, False),
        (None, None, False),
    ],
)
def test_databases_are_at_heads_that_are_known_to_be_theirs(
    tmp_path: Path, *, live: Heads | None, required: dict[str, str | None] | None, there: bool
) -> None:
    """What cannot be read is not taken for done; a database that only one of the two knows does not count."""
    world = same(tmp_path)
    world.heads = lambda: live  # type: ignore[method-assign]
    assert steps.is_at(world, required) is there
