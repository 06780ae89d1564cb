"""What a rollback says while it runs and when it ends, word for word: a person acts on it, at night.

The cases were chosen by mutation testing (docs/mutation.md), as those of test_plan_sentences.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.migrate.tool import Code
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.run import RollbackOptions, RollbackResult, begin, resume
from tests.components.releases.rollbacks import SAME, Slow, Unsure, changed, ended, same, silent
from tests.components.releases.world import HEAD, Killed, World, failed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def restored(world: World, rows: int) -> RollbackResult:
    """Roll back with a restore that loses some rows."""
    world.database["rows"] = rows
    return ended(world, Request(restore=True))


SENTENCES: dict[str, tuple[Callable[[Path], World], Callable[[World], RollbackResult], str]] = {
    "verified": (same, ended, "Revision 1 (MLflow 3.4.0) serves and is pinned; verified."),
    "by an update": (
        *(same, lambda world: ended(world, automatic=True)),
        "Revision 1 (MLflow 3.4.0) serves; verified.",
    ),
    "of a service without a ledger": (
        *(same, lambda world: ended(world, Request(record=False))),
        "Revision 1 (MLflow 3.4.0) serves; verified.",
    ),
    "not verified": (
        *(same, lambda world: ended(world, Request(verify=False))),
        "Revision 1 (MLflow 3.4.0) serves and is pinned; not verified.",
    ),
    "restored": (
        *(changed, lambda world: restored(world, 2)),
        "Revision 1 (MLflow 3.4.0) serves and is pinned; verified. Lost: 2 runs.",
    ),
    "restored, and nothing written since": (
        *(changed, lambda world: restored(world, 0)),
        "Revision 1 (MLflow 3.4.0) serves and is pinned; verified. Lost: nothing.",
    ),
}


@pytest.mark.parametrize("name", SENTENCES)
def test_the_end_says_what_serves_and_what_it_cost(tmp_path: Path, name: str) -> None:
    """Whether it is pinned and verified, and what a restore lost; the table of checks goes with it."""
    make, act, sentence = SENTENCES[name]
    world = make(tmp_path)
    done = act(world)
    assert (done.exit_code, done.sentence, done.serving) == (ExitCode.DONE, sentence, "1")
    assert bool(done.table) == (name != "not verified")


def test_a_verification_that_cannot_tell_is_said(tmp_path: Path) -> None:
    """The target serves and is pinned, and neither the sentence nor the exit code calls it verified."""
    done = ended(Unsure(tmp_path, SAME, live="3.4.0"))
    sentence = "Revision 1 (MLflow 3.4.0) serves and is pinned; its verification: inconclusive."
    assert (done.exit_code, done.sentence) == (ExitCode.INCONCLUSIVE, sentence)


def slow(folder: Path) -> World:
    """Return a world of two releases of one schema, the older one of which never gets ready."""
    return Slow(folder, SAME, live="3.4.0")


class Fleeting(World):
    """A world whose revision 2 starts and is gone."""

    def start_server(self, revision: str) -> None:
        """Start a revision."""
        super().start_server(revision)
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


UNREADY = "it did not get ready: task stopped\nexec format error"
ENDED = "revision 1 ended while it started"
BACK: dict[str, tuple[Callable[[Path], World], Callable[[World], RollbackResult], str]] = {
    "it fails its verification": (
        *(same, ended),
        "Not rolled back: revision 1: it fails its verification. Now revision 2 serves again, as before.",
    ),
    "it does not get ready": (
        *(slow, ended),
        f"Not rolled back: revision 1: {UNREADY}. Now revision 2 serves again, as before.",
    ),
    "the restore fails": (
        *(changed, failing_restore),
        "Not rolled back: revision 1: restore failed: It failed. Mend it. Now revision 2 serves again, as before.",
    ),
    "what served before ends again": (
        *(fleeting, ended),
        "Not rolled back: revision 1: it fails its verification. Now nothing serves.",
    ),
    "nothing served before": (
        *(same, of_nothing_broken),
        f"Not rolled back: revision 1: activate failed: {ENDED}. Now nothing serves, as before.",
    ),
    "nothing served before, and the target runs": (
        *(slow, of_nothing),
        f"Not rolled back: revision 1: {UNREADY}. Now revision 1 serves.",
    ),
}


@pytest.mark.parametrize("name", BACK)
def test_the_way_back_says_why_and_what_serves_now(tmp_path: Path, name: str) -> None:
    """The step that failed in the platform's words, and what users get their answers from."""
    make, act, sentence = BACK[name]
    world = make(tmp_path)
    world.red = {"1"}
    done = act(world)
    assert done.sentence == sentence
    assert done.serving == world.running
    assert bool(done.table) == ("it fails its verification" in sentence)
    assert world.rollback.load() is None


class Unable:
    """Starts revision 1, and fails to start revision 2."""

    def __init__(self, world: World, met: str) -> None:
        """Take what the start meets."""
        self._start, self._met = world.start_server, met

    def __call__(self, revision: str) -> None:
        """Start a revision."""
        if revision == "2":
            raise OSError(self._met)
        self._start(revision)


@pytest.mark.parametrize("met", ["No space left on device", "No space left on device."])
def test_a_way_back_that_fails_says_both(tmp_path: Path, met: str) -> None:
    """What failed first, and what the way back met: the person mends that and runs it again."""
    world = same(tmp_path)
    world.red = {"1"}
    world.start_server = Unable(world, met)  # type: ignore[method-assign]
    done = ended(world)
    assert done.sentence == (
        "Revision 1: it fails its verification. Going back failed as well: No space left on device. "
        "Mend that and run this again."
    )
    assert (done.exit_code, done.serving) == (ExitCode.PLATFORM_FAILED, "1")
    assert done.table


def test_each_step_is_reported_before_it_is_done(tmp_path: Path) -> None:
    """In order; and so is the way back."""
    said: list[str] = []
    world = changed(tmp_path)
    world.red = {"1"}
    ended(world, Request(restore=True), said)
    assert said == [
        "stopping the server",
        "restoring the dump d1",
        "switching to revision 1 (MLflow 3.4.0)",
        "waiting until it serves",
        "verifying it",
        "revision 1: it fails its verification; going back to what was before",
    ]
    said.clear()
    ended(same(tmp_path / "other"), None, said)
    assert said[-1] == "recording it in the ledger"


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
    with pytest.raises(Refused) as refused:
        resume(world, to="2", say=silent)
    assert str(refused.value) == (
        f"A rollback to revision 1, begun {entry['begun']}, was interrupted. "
        "Finish it first: run the command without --to."
    )
    assert entry["begun"].endswith("+00:00")
    assert resume(world, to="1", say=said.append) is not None
    begun = f"finishing the rollback to revision 1 that was begun {entry['begun']} and interrupted"
    assert said == [begun, "waiting until it serves", "verifying it", "recording it in the ledger"]
    assert world.deeds[done:] == ["wait", "verify"]


def test_what_an_update_did_meanwhile_is_refused_with_what_to_do(tmp_path: Path) -> None:
    """Both times: where it has begun since the plan, and where it was stopped after it had migrated."""
    world = same(tmp_path)
    made = plan(world.rollback_context(), Request())
    world.deploying = "an update migrates the database"
    with pytest.raises(Refused) as refused:
        begin(world, made, RollbackOptions(reason=""), say=silent)
    assert str(refused.value) == (
        "A deployment has begun meanwhile: an update migrates the database. Let it end, and repeat."
    )
    world.left_at = HEAD["3.17.2"].tracking
    made = plan(replace(world.rollback_context(), busy=world.deploying), Request(force=True))
    with pytest.raises(Refused) as refused:
        begin(world, made, RollbackOptions(reason=""), say=silent)
    assert str(refused.value) == (
        "The deployment was stopped, and it had brought the database from head-3.4.0 to head-3.17.2. "
        "Repeat: the plan is another one now."
    )


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
