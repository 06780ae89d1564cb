"""Worlds in which a rollback runs, and the call that runs it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mlflow_backend.contract import WaitOutcome
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.run import RollbackOptions, RollbackResult, begin
from mlflow_backend.verify.model import Result
from tests.components.releases.world import HEAD, World

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.verify.report import Report


SAME = {"1": "3.4.0", "2": "3.4.0"}

CHANGED = {"1": "3.4.0", "2": "3.17.2"}


def same(folder: Path) -> World:
    """Return a world of two releases of one schema."""
    return World(folder, SAME, live="3.4.0")


def changed(folder: Path) -> World:
    """Return a world that was migrated between its two releases, with the dump taken before and a row after."""
    world = World(folder, CHANGED, live="3.4.0")
    world.ledger.add_dump(world.dump("3.17.2"))
    world.database = {"head": HEAD["3.17.2"].tracking, "rows": 1}
    return world


def silent(_message: str) -> None:
    """Say nothing."""


def ended(
    world: World, request: Request | None = None, said: list[str] | None = None, **wishes: bool
) -> RollbackResult:
    """Plan and carry out a rollback; what it says is put into `said`."""
    say = silent if said is None else said.append
    return begin(
        world, plan(world.rollback_context(), request or Request()), RollbackOptions(reason="slow", **wishes), say=say
    )


class Unsure(World):
    """A world whose verifications cannot tell."""

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Return an inconclusive report."""
        return replace(super().verify(revision, profile=profile, deadline_s=deadline_s), verdict=Result.INCONCLUSIVE)


class Slow(World):
    """A world whose revision 1 never gets ready."""

    def wait(self, revision: str) -> WaitOutcome:
        """Tell the platform's reasons."""
        return WaitOutcome(serving=revision != "1", reasons=("task stopped", "exec format error"))
