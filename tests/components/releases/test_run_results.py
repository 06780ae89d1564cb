"""What a rollback says while it runs and when it ends, word for word: a person acts on it, at night.

The cases were chosen by mutation testing (docs/mutation.md), as those of test_plan_cases.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.migrate.tool import Code
from mlflow_backend.releases import steps
from mlflow_backend.releases.plan import Request, Step, plan
from mlflow_backend.releases.run import RollbackOptions, RollbackResult, begin, resume
from tests.components.messages import assert_says, raised
from tests.components.releases.rollbacks import SAME, Slow, Unsure, changed, ended, same, silent
from tests.components.releases.world import HEAD, Killed, World, failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


STARTED = {"to": "1", "toVersion": "3.4.0", "dump": "d1"}


def restored(world: World, rows: int) -> RollbackResult:
    """Roll back with a restore that loses some rows."""
    world.database["rows"] = rows
    return ended(world, Request(restore=True))


ENDS: dict[str, tuple[Callable[[Path], World], Callable[[World], RollbackResult], dict[str, Any]]] = {
    "verified": (same, ended, {"pinned": True, "verdict": "pass", "losses": None}),
    "by an update": (
        *(same, lambda world: ended(world, automatic=True)),
        {"pinned": False, "verdict": "pass", "losses": None},
    ),
    "of a service without a ledger": (
        *(same, lambda world: ended(world, Request(record=False))),
        {"pinned": False, "verdict": "pass", "losses": None},
    ),
    "not verified": (
        *(same, lambda world: ended(world, Request(verify=False))),
        {"pinned": True, "verdict": None, "losses": None},
    ),
    "restored": (
        *(changed, lambda world: restored(world, 2)),
        {"pinned": True, "verdict": "pass", "losses": {"runs": 2}},
    ),
    "restored, and nothing written since": (
        *(changed, lambda world: restored(world, 0)),
        {"pinned": True, "verdict": "pass", "losses": {}},
    ),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_says_what_serves_and_what_it_cost(tmp_path: Path, name: str) -> None:
    """Whether it is pinned and verified, and what a restore lost; the table of checks goes with it."""
    make, act, fields = ENDS[name]
    done = act(make(tmp_path))
    assert (done.code, done.exit_code, done.serving) == ("rolled-back", ExitCode.DONE, "1")
    assert {each: getattr(done, each) for each in fields} == fields
    assert bool(done.table) == (name != "not verified")
    assert_says(done.sentence, "Revision 1 (MLflow 3.4.0)")
    assert ("pinned" in done.sentence) is done.pinned
    assert ("not verified" in done.sentence) is (done.verdict is None)
    assert ("2 runs" in done.sentence) is (done.losses == {"runs": 2})
    assert (": nothing." in done.sentence) is (done.losses == {})
    assert done.sentence.endswith(".")


def test_a_verification_that_cannot_tell_is_said(tmp_path: Path) -> None:
    """The target serves and is pinned, and neither the sentence nor the exit code calls it verified."""
    done = ended(Unsure(tmp_path, SAME, live="3.4.0"))
    assert (done.code, done.exit_code, done.verdict) == ("rolled-back", ExitCode.INCONCLUSIVE, "inconclusive")
    assert_says(done.sentence, "Revision 1 (MLflow 3.4.0)", "pinned", "inconclusive")


def slow(folder: Path) -> World:
    """Return a world of two releases of one schema, the older one of which never gets ready."""
    return Slow(folder, SAME, live="3.4.0")


class Fleeting(World):
    """A world whose revision 2 starts and is gone."""

    def start_servers(self, revision: str) -> None:
        """Start a revision."""
        super().start_servers(revision)
        self.running = None if revision == "2" else revision


def fleeting(folder: Path) -> World:
    """Return a world of two releases of one schema, the newer one of which does not stay."""
    return Fleeting(folder, SAME, live="3.4.0")


def failing_restore(world: World) -> RollbackResult:
    """Let the restore fail."""
    world.failing = {"restore": [failed(Code.FAILED)]}
    return ended(world, Request(restore=True))


def of_nothing_broken(world: World) -> RollbackResult:
    """Roll back where the current revision's server has ended, to one that does not start."""
    world.broken = {"1"}
    return of_nothing(world)


def of_nothing(world: World) -> RollbackResult:
    """Roll back where the current revision's server has ended."""
    made = plan(world.rollback_context(), Request())
    world.running, world.servers = None, set()
    return begin(world, made, RollbackOptions(reason=""), say=silent)


BACK: dict[str, tuple[Callable[[Path], World], Callable[[World], RollbackResult], tuple[str, ...], str | None]] = {
    "it fails its verification": (same, ended, (), "2"),
    "it does not get ready": (slow, ended, ("task stopped\nexec format error",), "2"),
    "the restore fails": (changed, failing_restore, ("restore", "It failed. Fix it"), "2"),
    "what served before ends again": (fleeting, ended, (), None),
    "nothing served before": (same, of_nothing_broken, ("activate", "revision 1 ended while it started"), None),
    "nothing served before, and the target runs": (slow, of_nothing, ("task stopped\nexec format error",), "1"),
}


@pytest.mark.parametrize("name", BACK)
def test_the_way_back_says_why_and_what_serves_now(tmp_path: Path, name: str) -> None:
    """The step that failed in the platform's words, and what users get their answers from."""
    make, act, facts, serving = BACK[name]
    world = make(tmp_path)
    world.red = {"1"}
    done = act(world)
    assert (done.code, done.serving, world.running) == ("gone-back", serving, serving)
    assert_says(done.cause, *facts)
    assert not done.cause.endswith(".")
    assert_says(done.sentence, "revision 1", done.cause, f"revision {serving}" if serving else "nothing serves")
    # As before only if what serves is what served, or nothing is and was.
    assert ("as before" in done.sentence) is (name not in {"what served before ends again", list(BACK)[-1]})
    assert bool(done.table) == (done.exit_code is ExitCode.VERIFICATION_FAILED)
    assert world.rollback.load() is None


@pytest.mark.parametrize(
    ("make", "code"), [(same, ExitCode.VERIFICATION_FAILED), (slow, ExitCode.PLATFORM_FAILED)], ids=["red", "not ready"]
)
def test_what_is_found_of_the_target_is_no_step_that_failed(
    tmp_path: Path, make: Callable[[Path], World], code: ExitCode
) -> None:
    """A finding names no step; whether the verification or the platform failed is the exit code."""
    world = make(tmp_path)
    world.red = {"1"}
    done = ended(world)
    assert done.exit_code is code
    # It reads on after the revision's name.
    assert done.cause.startswith("it ")
    assert not any(step.value in done.cause.split(":")[0].split() for step in Step)


class Unable:
    """Starts revision 1, and fails to start revision 2."""

    def __init__(self, world: World, met: str) -> None:
        """Take what the start meets."""
        self._start, self._met = world.start_servers, met

    def __call__(self, revision: str) -> None:
        """Start a revision."""
        if revision == "2":
            raise OSError(self._met)
        self._start(revision)


@pytest.mark.parametrize("met", ["No space left on device", "No space left on device."])
def test_a_way_back_that_fails_says_both(tmp_path: Path, met: str) -> None:
    """What failed first, and what the way back met: the person fixes that and runs it again."""
    world = same(tmp_path)
    world.red = {"1"}
    world.start_servers = Unable(world, met)  # type: ignore[method-assign]
    done = ended(world)
    assert (done.code, bool(done.cause)) == ("stuck", True)
    assert_says(done.sentence, "Revision 1", f"{done.cause}. ", "No space left on device. ")
    assert (done.exit_code, done.serving) == (ExitCode.PLATFORM_FAILED, "1")
    assert done.table


def test_each_step_is_reported_before_it_is_done(tmp_path: Path) -> None:
    """In order; and so is the way back."""
    said: list[str] = []
    world = changed(tmp_path)
    world.red = {"1"}
    ended(world, Request(restore=True), said)
    assert said == [
        *(steps.words(step, STARTED) for step in (Step.STOP, Step.RESTORE, Step.ACTIVATE, Step.WAIT, Step.VERIFY)),
        said[-1],
    ]
    assert_says(said[-1], "revision 1")
    said.clear()
    ended(same(tmp_path / "other"), None, said)
    assert said[-1] == steps.words(Step.RECORD, STARTED)


def test_a_step_names_what_it_is_done_to() -> None:
    """The dump that is restored, and the revision and version that is switched to."""
    assert_says(steps.words(Step.RESTORE, STARTED), "d1")
    assert_says(steps.words(Step.ACTIVATE, STARTED), "revision 1 (MLflow 3.4.0)")


def test_an_interrupted_rollback_goes_on_with_the_step_that_it_was_in(tmp_path: Path) -> None:
    """It says so; a server that was switched to already is not stopped again, nor switched to."""
    world = same(tmp_path)
    dry = same(tmp_path / "dry")
    ended(dry)
    world.kill_at = (dry.calls.index("wait") + 1, False)
    with pytest.raises(Killed):
        ended(world)
    world.kill_at, done, said = None, len(world.deeds), list[str]()
    entry = world.rollback.load()
    assert entry is not None
    with raised("rollback-of-another-target", "revision 1", entry["begun"], "--to"):
        resume(world, to="2", say=silent)
    assert entry["begun"].endswith("+00:00")
    assert resume(world, to="1", say=said.append) is not None
    assert_says(said[0], "revision 1", entry["begun"])
    assert said[1:] == [steps.words(step, STARTED) for step in (Step.WAIT, Step.VERIFY, Step.RECORD)]
    assert world.deeds[done:] == ["wait", "verify"]


def test_what_an_update_did_meanwhile_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Both times: if it has begun since the plan, and if it was stopped after it had migrated."""
    world = same(tmp_path)
    made = plan(world.rollback_context(), Request())
    world.deploying = "an update migrates the database"
    with raised("deployment-begun", "an update migrates the database"):
        begin(world, made, RollbackOptions(reason=""), say=silent)
    world.left_at = HEAD["3.17.2"].tracking
    made = plan(replace(world.rollback_context(), busy=world.deploying), Request(force=True))
    with raised("deployment-had-migrated", "head-3.4.0", "head-3.17.2"):
        begin(world, made, RollbackOptions(reason=""), say=silent)


def test_a_change_of_access_is_said_at_the_end(tmp_path: Path) -> None:
    """Also by a rollback that was interrupted: what it changed stands in its journal."""
    world = same(tmp_path)
    found = plan(world.rollback_context(), Request())
    assert found.start is not None
    opened = replace(found, start=replace(found.start, access="basic"), goal=replace(found.goal, access="none"))
    world.kill_at = (3, True)
    with pytest.raises(Killed):
        begin(world, opened, RollbackOptions(reason="slow"), say=silent)
    world.kill_at = None
    done = resume(world, to=None, say=silent)
    assert done is not None
    assert opened.access_change in done.sentence
