"""Rollbacks on a platform that serves a revision apart: it is verified there before users meet it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.releases.plan import Request
from mlflow_backend.releases.run import resume
from tests.components.releases.rollbacks import CHANGED, SAME, Staging, UnsureStaging, ended, silent
from tests.components.releases.world import HEAD, Killed

if TYPE_CHECKING:
    from pathlib import Path


def test_a_target_is_verified_before_users_meet_it(tmp_path: Path) -> None:
    """It is verified again afterwards, as the whole; its tag stays."""
    world = Staging(tmp_path, SAME, live="3.4.0")
    done = ended(world)
    assert (done.exit_code, done.verdict, world.running, world.tags) == (ExitCode.DONE, "pass", "1", {"1"})
    assert world.deeds == ["stage", "verify", "promote", "start", "wait", "verify"]


def test_a_red_target_is_never_met(tmp_path: Path) -> None:
    """The traffic stays where it is, the tag goes, nothing is pinned, and people get the table of checks."""
    world = Staging(tmp_path, SAME, live="3.4.0")
    world.red = {"1"}
    done = ended(world)
    assert (done.code, done.exit_code, done.serving) == ("gone-back", ExitCode.VERIFICATION_FAILED, "2")
    assert (set(world.met), world.tags) == ({"2"}, set())
    assert world.ledger.state().pin is None
    assert world.rollback.load() is None
    assert done.table


def test_a_target_that_cannot_be_staged_is_never_met(tmp_path: Path) -> None:
    """The platform's words are the cause, and what served serves."""
    world = Staging(tmp_path, SAME, live="3.4.0")
    world.broken = {"1"}
    done = ended(world)
    assert (done.exit_code, set(world.met), world.tags) == (ExitCode.PLATFORM_FAILED, {"2"}, set())
    assert "ended while it started" in done.cause


def test_a_verification_apart_that_cannot_tell_is_no_reason_to_stay(tmp_path: Path) -> None:
    """What is gone back from is known to be bad."""
    world = UnsureStaging(tmp_path, SAME, live="3.4.0")
    done = ended(world)
    assert (done.exit_code, world.running) == (ExitCode.INCONCLUSIVE, "1")


def test_nothing_is_staged_without_verification(tmp_path: Path) -> None:
    """Who asks for none gets the switch at once."""
    world = Staging(tmp_path, SAME, live="3.4.0")
    assert ended(world, Request(verify=False)).exit_code is ExitCode.DONE
    assert world.deeds == ["start", "wait"]


def test_a_restore_stages_nothing(tmp_path: Path) -> None:
    """Every server is stopped by then, and nobody has to be kept from the target."""
    world = Staging(tmp_path, CHANGED, live="3.4.0")
    world.ledger.add_dump(world.dump("3.17.2"))
    world.database = {"head": HEAD["3.17.2"].tracking, "rows": 1}
    assert ended(world, Request(restore=True)).exit_code is ExitCode.DONE
    assert "stage" not in world.deeds


def test_what_a_killed_rollback_staged_is_discarded_by_the_next_run(tmp_path: Path) -> None:
    """Killed while it is verified, and red when it is verified again."""
    world = Staging(tmp_path, SAME, live="3.4.0")
    dry = Staging(tmp_path / "dry", SAME, live="3.4.0")
    ended(dry)
    world.kill_at = (dry.calls.index("stage") + 1, True)
    with pytest.raises(Killed):
        ended(world)
    world.kill_at, world.red = None, {"1"}
    assert world.tags == {"1"}
    done = resume(world, to=None, say=silent)
    assert done is not None
    assert (done.code, world.running, world.tags) == ("gone-back", "2", set())
