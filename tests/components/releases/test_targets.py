"""Every target gives to migrations and rollbacks what they ask of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.ecs.releases import EcsReleases
from mlflow_backend.ecs.unmanaged import UnmanagedService
from mlflow_backend.local.releases import LocalReleases
from mlflow_backend.releases import automatic
from mlflow_backend.releases.steps import RollbackTarget
from mlflow_backend.verify.report import Report

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.migrate.step import MigrationTarget


def rollbacks(
    local: LocalReleases, ecs: EcsReleases, unmanaged: UnmanagedService
) -> tuple[RollbackTarget, RollbackTarget, RollbackTarget]:
    """Return them as what they have to be: the type checker compares names and signatures."""
    return local, ecs, unmanaged


def migrations(local: LocalReleases, ecs: EcsReleases) -> tuple[MigrationTarget, MigrationTarget]:
    """Return those that migrate."""
    return local, ecs


@pytest.mark.parametrize("target", [LocalReleases, EcsReleases, UnmanagedService])
def test_a_target_has_every_verb_of_a_rollback(target: type) -> None:
    """A verb that is missing would be found in the middle of a rollback."""
    verbs = {name for name, value in vars(RollbackTarget).items() if callable(value) and not name.startswith("_")}
    assert {name for name in verbs if not callable(getattr(target, name, None))} == set()


def test_an_automatic_rollback_that_cannot_even_begin_says_so(tmp_path: Path) -> None:
    """Its own failure is told beside that of the verification, and not instead of it."""
    (tmp_path / "backend-store").write_text("a file where the folder should be")
    report = Report(url="http://x", profile="core", deadline_s=1, started="now")
    told = automatic.roll_back({"kind": "local", "state": str(tmp_path)}, report, profile="core", deadline_s=1)
    assert told.startswith("Rolling back by itself failed: ")
