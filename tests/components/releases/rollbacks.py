"""Worlds in which a rollback runs, and the call that runs it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from mlflow_backend.contract import WaitOutcome
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.run import RollbackOptions, RollbackResult, begin
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.subjects import Subject
from tests.components.releases.world import HEAD, World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow_backend.target import Candidate
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
    world: World, request: Request | None = None, said: list[str] | None = None, **options: bool
) -> RollbackResult:
    """Plan and carry out a rollback; what it says is put into `said`."""
    say = silent if said is None else said.append
    return begin(
        world, plan(world.rollback_context(), request or Request()), RollbackOptions(reason="slow", **options), say=say
    )


class Unsure(World):
    """A world whose verifications cannot tell."""

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Return an inconclusive report."""
        return replace(super().verify(revision, profile=profile, deadline_s=deadline_s), verdict=Result.INCONCLUSIVE)


@dataclass
class TaggedRevision:
    """A revision of a `Staging` world that has a tag (target.Candidate)."""

    world: Staging
    revision: str
    subject: Subject = field(default_factory=lambda: Subject(url="http://x"))

    def promote(self) -> None:
        """Let it serve."""
        with self.world.doing("promote"):
            self.world.running = self.revision
            self.world.servers = {self.revision}

    def discard(self) -> None:
        """Take its tag away."""
        with self.world.doing("discard"):
            self.world.tags.discard(self.revision)


class Staging(World):
    """A world that serves a revision apart, by a tag; `met` are those that users met."""

    def __init__(self, folder: Path, versions: dict[str, str], *, live: str) -> None:
        """Begin without a tag."""
        self.tags: set[str] = set()
        self.met: list[str | None] = []
        super().__init__(folder, versions, live=live)

    @contextlib.contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Note whom users meet."""
        with super().doing(what):
            yield
            self.met.append(self.running)

    def stage(self, revision: str) -> TaggedRevision | None:
        """Give a revision a tag."""
        if self.running in {None, revision}:
            return None
        with self.doing("stage"):
            if revision in self.broken:
                raise RuntimeError(f"revision {revision} ended while it started")
            self.tags.add(revision)
        return TaggedRevision(self, revision)

    def verify_apart(self, candidate: Candidate, *, profile: str, deadline_s: float) -> Report:
        """Return what `verify` would."""
        assert candidate.revision in self.tags
        return self.verify(candidate.revision, profile=profile, deadline_s=deadline_s)


class UnsureStaging(Unsure, Staging):
    """A world that serves a revision apart, and whose verifications cannot tell."""


def staging(folder: Path) -> World:
    """Return a world of two releases of one schema that serves a revision apart."""
    return Staging(folder, SAME, live="3.4.0")


class Slow(World):
    """A world whose revision 1 never gets ready."""

    def wait(self, revision: str) -> WaitOutcome:
        """Tell the platform's reasons."""
        return WaitOutcome(serving=revision != "1", reasons=("task stopped", "exec format error"))
