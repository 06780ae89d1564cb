"""The commands that messages name."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import offered
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.locator import from_document
from mlflow_backend.migrate import resource
from mlflow_backend.releases import resource as releases
from mlflow_backend.releases.stores import FileStore
from tests.components.ecs.cloud import LOCATOR

if TYPE_CHECKING:
    from pathlib import Path

ECS = LOCATOR.document()
LOCAL = LocalLocator(stack="try", folder="/somewhere/.backend/try").document()


@pytest.mark.parametrize(("locator", "stack"), [(ECS, "staging"), (LOCAL, "try")])
def test_a_failed_migration_names_the_command_of_its_own_stack(
    locator: dict[str, str], stack: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever copies it in an emergency must not have to know what stands for what."""
    target = SimpleNamespace(heads=lambda: None, migration_lock=contextlib.nullcontext, store=FileStore(tmp_path))

    def fail(*_: object) -> None:
        raise PlatformFailed(
            "mend it, or go back with `python -m scripts.rollback --stack STACK --restore`.", code="of-a-test"
        )

    monkeypatch.setattr(resource, "open_releases", lambda _: target)
    monkeypatch.setattr(resource, "migrate", fail)
    with pytest.raises(PlatformFailed, match=f"--stack {stack} --restore"):
        resource.run({"locator": locator, "mlflowVersion": "3.4.0", "onFailure": "stop"})


def test_a_withheld_release_names_the_command_of_its_own_stack() -> None:
    """It is what everybody reads who updates under a pin."""
    with pytest.raises(releases.Refused, match=r"scripts\.rollback --stack staging --unpin`"):
        releases.hold({"withheld": "pinned to 2", "accepted": False, "stack": "staging"})


def test_a_backend_of_another_program_is_offered_commands_by_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is neither a scripts/ nor a Makefile; in this project there are both, and the short form stays."""
    text = "Lift it with `python -m scripts.rollback --stack STACK --unpin`, or `make up STACK=STACK` (make verify)."
    locator = from_document(LOCAL)
    assert "scripts.rollback --stack try --unpin`, or `make up STACK=try`" in offered.typed_for(text, locator)
    monkeypatch.chdir(tmp_path)
    assert offered.typed_for(text, locator) == (
        "Lift it with `python -m mlflow_backend.commands.rollback --locator /somewhere/.backend/try --unpin`, or "
        "`pulumi up` (python -m mlflow_backend.commands.verify --locator /somewhere/.backend/try)."
    )


def test_nothing_else_of_a_message_is_changed() -> None:
    """The word alone may be somebody's own."""
    assert offered.typed("STACK, --stack STACK --unpin", "dev") == "STACK, --stack dev --unpin"
