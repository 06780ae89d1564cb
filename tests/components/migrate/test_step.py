"""The migration step: what it does in which order, what a failure leaves, and that a kill anywhere is made good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.migrate.step import MigrationRequest, OnFailure, Outcome, after_failed_start, migrate, settle
from mlflow_backend.migrate.tool import Code
from tests.components.releases.world import HEAD, Killed, World, failed

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A server of 2.9.2 on its own schema."""
    return World(tmp_path, {"1": "2.9.2"}, live="2.9.2")


def run(world: World, version: str = "3.4.0", *, on_failure: OnFailure = "stop") -> Outcome:
    """Migrate, without waiting between tries."""
    request = MigrationRequest(version=version, required=HEAD[version], on_failure=on_failure)
    return migrate(world, request, pause=lambda _seconds: None)


def test_at_the_head_it_is_one_query(world: World) -> None:
    """Nothing is started, dumped or written where the database is where it should be."""
    assert run(world, "2.9.2").heads == HEAD["2.9.2"]
    assert world.calls == []
    assert world.migration.load() is None


def test_a_breaking_revision_stops_the_writers_before_the_dump(world: World) -> None:
    """What a client was told is stored must be in the dump, so nothing writes once it is taken."""
    outcome = run(world)
    assert world.deeds == ["status", "stop", "dump", "upgrade"]
    assert (outcome.heads, outcome.dump) == (HEAD["3.4.0"], "d1")
    assert [dump.id for dump in world.ledger.read().dumps] == ["d1"]
    assert world.running is None


def test_safe_revisions_are_applied_beside_the_running_server(world: World) -> None:
    """No downtime if no pending revision is breaking, and a dump all the same."""
    world.breaking = False
    run(world)
    assert world.deeds == ["status", "dump", "upgrade"]
    assert world.running == "1"


def test_a_new_database_is_filled_without_a_dump(world: World) -> None:
    """There is nothing to dump and nobody to stop."""
    world.database["head"], world.running, world.breaking = None, None, True
    run(world)
    assert world.deeds == ["status", "upgrade"]


def test_a_newer_database_is_refused_untouched(world: World) -> None:
    """The direction is named truly, and nothing is dumped or stopped."""
    world.database["head"] = HEAD["3.17.2"].tracking
    with pytest.raises(PlatformFailed, match=r"is ahead for MLflow 3.4.0.*Nothing was touched"):
        run(world)
    assert world.deeds == ["status"]


def test_what_a_try_can_mend_is_tried_again(world: World) -> None:
    """A database that restarts or another writer is waited for; a real failure is not repeated."""
    world.failing = {"upgrade": [failed(Code.WORTH_RETRYING), failed(Code.LOCKED)]}
    assert run(world).heads == HEAD["3.4.0"]
    assert world.calls.count("upgrade") == 3


@pytest.mark.parametrize("what", ["dump", "upgrade"])
def test_after_a_failure_the_old_revision_serves_again(world: World, what: str) -> None:
    """Where its schema is still there the server that was stopped is started again, and nothing is left open."""
    world.failing = {what: [failed(Code.FAILED)]}
    with pytest.raises(PlatformFailed, match="revision 1 serves again"):
        run(world)
    assert (world.running, world.database["head"]) == ("1", HEAD["2.9.2"].tracking)
    assert world.calls.count(what) == 1
    assert world.migration.load() is None


@pytest.mark.parametrize("what", ["stop", "dump"])
def test_whatever_a_target_meets_the_old_revision_serves_again(world: World, what: str) -> None:
    """Not only the tool fails: a server that is slow to end, or no port for the dumps, must not leave it stopped."""
    world.failing = {what: [PlatformFailed("it did not end in time", code="of-a-test", fix="Look", part="a part")]}
    with pytest.raises(PlatformFailed, match=r"did not end in time.*revision 1 serves again"):
        run(world)
    assert (world.running, world.migration.load()) == ("1", None)


def test_a_restore_that_a_target_cannot_even_begin_is_reported(world: World) -> None:
    """Both failures are reported, and the journal stays open for the next update."""
    world.failing = {
        "upgrade": [failed(Code.NOT_AT_HEAD)],
        "restore": [PlatformFailed("no port", code="of-a-test", fix="Look", part="store")],
    }
    world.left_at = "between"
    with pytest.raises(PlatformFailed, match="Restoring the dump d1 failed too: store: no port"):
        run(world, on_failure="restore")
    assert world.migration.load() is not None


def test_a_database_that_is_just_coming_back_is_waited_for(world: World) -> None:
    """A database that crashed under the dump is what failed: the server that was stopped must not stay away for it."""
    world.failing, world.away = {"dump": [failed(Code.FAILED)]}, 2
    with pytest.raises(PlatformFailed, match="revision 1 serves again"):
        run(world)
    assert world.running == "1"


@pytest.mark.parametrize(("on_failure", "running"), [("restore", "1"), ("stop", None)])
def test_half_way_the_settings_decide(world: World, on_failure: OnFailure, running: str | None) -> None:
    """A database between two schemas is restored, or left for a person with the command that would restore it."""
    world.failing, world.left_at = {"upgrade": [failed(Code.NOT_AT_HEAD)]}, "between"
    with pytest.raises(PlatformFailed) as caught:
        run(world, on_failure=on_failure)
    assert world.running == running
    told = "serves again" if running else "python -m scripts.rollback --stack STACK --to 1 --restore"
    assert told in str(caught.value)


@pytest.mark.parametrize(("on_failure", "running"), [("restore", "1"), ("stop", None)])
def test_a_new_revision_that_fails_after_a_good_migration(
    world: World, on_failure: OnFailure, running: str | None
) -> None:
    """The same holds when the migration went well: the old server has no schema to serve on, so settings decide."""
    run(world, on_failure=on_failure)
    told = after_failed_start(world)
    assert world.running == running
    assert ("was restored" in told) == (running == "1")
    assert (world.migration.load() is None) == (running == "1")


def test_a_safe_migration_needs_no_way_back(world: World) -> None:
    """The old server was never stopped and serves on; the new revision's failure says where the database is."""
    world.breaking = False
    run(world)
    assert HEAD["3.4.0"].tracking in after_failed_start(world)
    assert (world.running, world.migration.load()) == ("1", None)


def test_without_a_migration_there_is_nothing_to_say(world: World) -> None:
    """A revision that fails on an unchanged schema is no matter of migrations."""
    run(world, "2.9.2")
    assert not after_failed_start(world)


@pytest.mark.parametrize("breaking", [True, False])
def test_a_kill_anywhere_is_made_good_by_the_next_update(tmp_path: Path, *, breaking: bool) -> None:
    """Killed before or after each thing that it does, and run again: at the head, with a dump of before in hand."""
    dry = World(tmp_path / "dry", {"1": "2.9.2"}, live="2.9.2")
    dry.breaking = breaking
    run(dry)
    for place in ((number, after) for number in range(1, len(dry.calls) + 1) for after in (False, True)):
        world = World(tmp_path / f"{place}", {"1": "2.9.2"}, live="2.9.2")
        world.breaking, world.kill_at = breaking, place
        with pytest.raises(Killed):
            run(world)
        world.kill_at = None
        outcome = run(world)
        assert outcome.heads == HEAD["3.4.0"], place
        dumps = world.ledger.read().dumps
        assert dumps, place
        assert world.dumps[dumps[-1].id]["head"] == HEAD["2.9.2"].tracking, place
        settle(world.migration)
        assert world.migration.load() is None, place


def test_a_killed_migration_that_is_given_up_lets_the_old_revision_serve_again(world: World) -> None:
    """Killed once the server was stopped, then asked for the old version: the server is started again."""
    world.kill_at = (3, True)
    with pytest.raises(Killed):
        run(world)
    world.kill_at = None
    run(world, "2.9.2")
    assert (world.running, world.migration.load()) == ("1", None)
