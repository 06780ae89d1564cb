"""Every target gives to migrations and rollbacks what they ask of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import History
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.ecs.platform import EcsPlatform
from mlflow_backend.ecs.unmanaged import UnmanagedPlatform
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.migrate.step import MigrationTarget
from mlflow_backend.releases import automatic
from mlflow_backend.releases.steps import RollbackTarget
from mlflow_backend.target import Platform
from mlflow_backend.verify.report import Report

if TYPE_CHECKING:
    from pathlib import Path


def rules(deployed: DeployedBackend) -> tuple[RollbackTarget, MigrationTarget]:
    """Return it as what it has to be: the type checker compares names and signatures."""
    return deployed, deployed


def platforms(local: LocalPlatform, ecs: EcsPlatform, unmanaged: UnmanagedPlatform) -> tuple[Platform, ...]:
    """Return them as what they have to be."""
    return local, ecs, unmanaged


def test_a_backend_has_every_verb_of_a_rollback_and_a_migration() -> None:
    """A verb that is missing would be found in the middle of a rollback."""
    for protocol in (RollbackTarget, MigrationTarget):
        assert _verbs(protocol) <= _verbs(DeployedBackend)


@pytest.mark.parametrize("platform", [LocalPlatform, EcsPlatform, UnmanagedPlatform])
def test_a_platform_has_every_verb(platform: type) -> None:
    """Those of its history too."""
    missing = {name for name in _verbs(Platform) | _verbs(History) if not callable(getattr(platform, name, None))}
    assert missing == set()


def _verbs(found: type) -> set[str]:
    return {name for name, value in vars(found).items() if callable(value) and not name.startswith("_")}


def test_an_automatic_rollback_that_cannot_even_begin_says_so(tmp_path: Path) -> None:
    """Its own failure is reported beside that of the verification, and not instead of it."""
    (tmp_path / "backend-store").write_text("a file where the folder should be")
    report = Report(url="http://x", profile="core", deadline_s=1, started="now")
    told = automatic.roll_back(LocalLocator(stack="x", folder=str(tmp_path)), report, profile="core", deadline_s=1)
    assert told.startswith("Rolling back by itself failed: ")
