"""Rollbacks that are carried out, fail, and are killed at every step: they end in one of two states."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode, PlatformFailed, Refused
from mlflow_backend.migrate.tool import Code
from mlflow_backend.releases.journal import refuse_unfinished
from mlflow_backend.releases.plan import Request, Step, plan
from mlflow_backend.releases.run import RollbackOptions, RollbackResult, begin, resume
from mlflow_backend.schema import Heads
from tests.components.releases.rollbacks import SAME, changed, same, silent, staging
from tests.components.releases.world import HEAD, Killed, World, failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def roll_back(world: World, **options: bool) -> RollbackResult:
    """Plan and carry out the default rollback."""
    return begin(
        world,
        plan(world.rollback_context(), Request(restore=True)),
        RollbackOptions(reason="slow", **options),
        say=silent,
    )


def test_the_target_serves_and_is_pinned(tmp_path: Path) -> None:
    """After a rollback the target serves, is verified and pinned, and the one it left is marked."""
    world = same(tmp_path)
    ended = roll_back(world)
    state = world.ledger.state()
    assert (ended.exit_code, ended.serving, world.running) == (ExitCode.DONE, "1", "1")
    assert state.pin is not None
    assert (state.pin.revision, state.pin.reason, state.rolled_back_from) == ("1", "slow", ("2",))
    assert world.rollback.load() is None


def test_a_restore_happens_while_nothing_serves_and_the_old_database_is_kept(tmp_path: Path) -> None:
    """The world itself refuses a restore under a running server, and a server on another schema."""
    world = changed(tmp_path)
    assert roll_back(world).exit_code is ExitCode.DONE
    assert world.database == {"head": HEAD["3.4.0"].tracking, "rows": 0}
    assert world.kept == [{"head": HEAD["3.17.2"].tracking, "rows": 1}]


@pytest.mark.parametrize("make", [same, changed])
def test_a_target_that_fails_its_verification_is_left_again(tmp_path: Path, make: Callable[[Path], World]) -> None:
    """A rollback never makes it worse: what served before serves again, on the database that it had."""
    world = make(tmp_path)
    before = dict(world.database)
    world.red = {"1"}
    ended = roll_back(world)
    assert (ended.exit_code, world.running, world.database) == (ExitCode.VERIFICATION_FAILED, "2", before)
    assert world.ledger.state().pin is None
    assert world.rollback.load() is None
    assert "revision 2 serves" in ended.sentence


@pytest.mark.parametrize("make", [same, changed])
def test_a_target_that_does_not_start_is_left_again(tmp_path: Path, make: Callable[[Path], World]) -> None:
    """The platform's reason is reported, and the exit code says that the platform failed."""
    world = make(tmp_path)
    world.broken = {"1"}
    ended = roll_back(world)
    assert (ended.exit_code, world.running) == (ExitCode.PLATFORM_FAILED, "2")
    assert "ended while it started" in ended.sentence


def test_a_restore_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """The tool leaves the databases alone when it fails, and the server that was stopped serves again."""
    world = changed(tmp_path)
    world.failing = {"restore": [failed(Code.FAILED)]}
    ended = roll_back(world)
    assert (ended.exit_code, world.running, world.database["rows"]) == (ExitCode.PLATFORM_FAILED, "2", 1)


def test_an_update_that_began_meanwhile_is_not_disturbed(tmp_path: Path) -> None:
    """Between plan and act an update may take its lock: of the two one sees the other, and here nothing is touched."""
    world = same(tmp_path)
    made = plan(world.rollback_context(), Request())
    world.deploying = "an update migrates the database"
    with pytest.raises(Refused, match="has begun meanwhile: an update migrates"):
        begin(world, made, RollbackOptions(reason=""), say=silent)
    assert (world.running, world.rollback.load(), world.deeds) == ("2", None, [])


def test_a_deployment_that_was_stopped_too_late_makes_another_plan(tmp_path: Path) -> None:
    """It had migrated when --force ended it: a plan made for the schema before would put a server on another one."""
    world = same(tmp_path)
    world.deploying, world.left_at = "an update migrates the database", HEAD["3.17.2"].tracking
    made = plan(replace(world.rollback_context(), busy=world.deploying), Request(force=True))
    with pytest.raises(Refused, match=r"from head-3\.4\.0 to head-3\.17\.2"):
        begin(world, made, RollbackOptions(reason=""), say=silent)
    assert (world.running, world.rollback.load(), world.deeds) == ("2", None, [])


def test_what_is_lost_is_counted_when_nothing_writes_any_more(tmp_path: Path) -> None:
    """Clients write on after the plan was printed: the ledger and the last sentence tell what was lost in truth."""
    world = changed(tmp_path)
    made = replace(plan(world.rollback_context(), Request(restore=True)), losses={"runs": 1})
    world.database["rows"] = 3
    ended = begin(world, made, RollbackOptions(reason="slow"), say=silent)
    assert ended.sentence.endswith("Lost: 3 runs.")
    body = world.ledger.read().records[-1].body
    assert isinstance(body, dict)
    assert body["lost runs"] == "3"


def test_a_restore_of_the_auth_schema_alone_is_not_taken_for_done(tmp_path: Path) -> None:
    """Both databases decide whether an interrupted run had restored already, not the tracking one only."""
    world = WithAuth(tmp_path, SAME, live="3.4.0")
    goal = replace(HEAD["3.4.0"], auth="old")
    made = plan(world.rollback_context(), Request())
    world.ledger.add_dump(world.dump("3.4.0"))
    dump = world.ledger.read().dumps[-1]
    restoring = replace(made, dump=dump, goal=replace(made.goal, heads=goal), steps=(Step.STOP, Step.RESTORE))
    begin(world, restoring, RollbackOptions(reason=""), say=silent)
    assert world.deeds.count("restore") == 1


class WithAuth(World):
    """A world whose auth database is newer than any of its releases."""

    def heads(self) -> Heads | None:
        """Return the heads of both."""
        return Heads(tracking=self.database["head"], auth="new")


def test_a_journal_that_cannot_be_written_does_not_keep_the_server_away(tmp_path: Path) -> None:
    """A full disk fails the restore, and then the word that the way back is taken: it is taken all the same."""
    world = changed(tmp_path)
    full = PlatformFailed("No space left on device", code="of-a-test", fix="Make space", part="journal")
    world.failing = {"restore": [failed(Code.FAILED)], "full": [full]}
    plain = world.store.replace

    def replace_object(key: str, content: bytes) -> None:
        if "restore" in world.calls and world.failing["full"]:
            raise world.failing["full"].pop()
        plain(key, content)

    world.store.replace = replace_object  # type: ignore[method-assign]
    ended = roll_back(world)
    assert (ended.exit_code, world.running, world.database["rows"]) == (ExitCode.PLATFORM_FAILED, "2", 1)
    assert world.rollback.load() is None


def test_a_restore_that_was_interrupted_is_gone_on_with_from_the_stop(tmp_path: Path) -> None:
    """What the killed run had started may still restore: it is ended before anything is counted or restored."""
    world = changed(tmp_path)
    world.kill_at = (next(i for i, call in enumerate(trace(tmp_path / "dry"), 1) if call == "restore"), False)
    with pytest.raises(Killed):
        roll_back(world)
    world.kill_at, done = None, len(world.deeds)
    assert resume(world, to=None, say=silent) is not None
    assert world.deeds[done:] == ["stop", "restore", "start", "wait", "verify"]


def trace(folder: Path) -> list[str]:
    """Return all that a rollback with a restore does."""
    world = changed(folder)
    roll_back(world)
    return world.calls


def test_where_nothing_served_the_target_stays(tmp_path: Path) -> None:
    """With nothing to go back to, a target that fails its verification is still better; the exit code tells."""
    world = same(tmp_path)
    made = plan(world.rollback_context(), Request())
    world.running = None
    world.red = {"1"}
    ended = begin(world, made, RollbackOptions(reason=""), say=silent)
    assert (ended.exit_code, world.running) == (ExitCode.VERIFICATION_FAILED, "1")
    assert world.ledger.state().pin is not None


def test_a_way_back_that_fails_is_tried_again(tmp_path: Path) -> None:
    """While neither state is reached the journal stays open, and the next run goes on with the way back."""
    world = same(tmp_path)
    world.red = {"1"}
    made = plan(world.rollback_context(), Request())
    world.broken = {"2"}
    ended = begin(world, made, RollbackOptions(reason=""), say=silent)
    assert (ended.exit_code, world.rollback.load() is None) == (ExitCode.PLATFORM_FAILED, False)
    with pytest.raises(Refused, match="Finish it first"):
        refuse_unfinished(world.store)
    world.broken = set()
    finished = resume(world, to=None, say=silent)
    assert finished is not None
    assert (finished.exit_code, world.running) == (ExitCode.VERIFICATION_FAILED, "2")


def test_an_automatic_rollback_blocks_that_release_and_pins_nothing(tmp_path: Path) -> None:
    """The fix deploys without ceremony: only the failed release's settings are held back."""
    world = same(tmp_path)
    assert roll_back(world, automatic=True).exit_code is ExitCode.DONE
    state = world.ledger.state()
    assert state.pin is None
    assert [(block.revision, block.settings_hash, block.instead) for block in state.blocks] == [("2", "s2", "1")]


def test_another_target_is_refused_while_one_is_unfinished(tmp_path: Path) -> None:
    """A rollback that was interrupted is finished before another is begun."""
    world = same(tmp_path)
    world.kill_at = (1, True)
    with pytest.raises(Killed):
        roll_back(world)
    with pytest.raises(Refused, match="revision 1"):
        resume(world, to="2", say=silent)


def places(make: Callable[[Path], World], folder: Path, red: set[str]) -> list[tuple[int, bool]]:
    """Return every place at which a run can be killed: before and after each thing that it does."""
    world = make(folder)
    already = len(world.calls)
    world.red = red
    roll_back(world)
    return [(number, after) for number in range(already + 1, len(world.calls) + 1) for after in (False, True)]


@pytest.mark.parametrize("red", [set(), {"1"}])
@pytest.mark.parametrize("make", [same, changed, staging])
def test_a_kill_at_any_step_ends_in_one_of_two_states(
    tmp_path: Path, make: Callable[[Path], World], red: set[str]
) -> None:
    """Killed before or after each step, then run again: the target serves and is pinned, or all is as it was."""
    for number, place in enumerate(places(make, tmp_path / "dry", red)):
        world = make(tmp_path / str(number))
        world.red, world.kill_at, before = red, place, dict(world.database)
        with pytest.raises(Killed):
            roll_back(world)
        world.kill_at = None
        finished = resume(world, to=None, say=silent)
        assert world.rollback.load() is None
        pin = world.ledger.state().pin
        if pin is None:
            assert (world.running, world.database) == ("2", before), place
        else:
            assert (world.running, pin.revision, world.database["head"]) == ("1", "1", HEAD["3.4.0"].tracking), place
        assert world.servers == {world.running}, place
        assert getattr(world, "tags", set()) <= {world.running}, place
        # Nothing to finish: it was killed before it had begun, or after its end.
        assert finished is None or (pin is None) == bool(red), place
        assert len([r for r in world.ledger.read().records if r.kind.value == "rollback"]) <= 1
