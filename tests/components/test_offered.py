"""The commands that messages name."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import pytest

from mlflow_backend import offered
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.migrate import resource
from mlflow_backend.releases import resource as releases

ECS = {"kind": "ecs", "stack": "staging"}
LOCAL = {"kind": "local", "state": "/somewhere/.backend/try"}


@pytest.mark.parametrize(("locator", "stack"), [(ECS, "staging"), (LOCAL, "try")])
def test_a_failed_migration_names_the_command_of_its_own_stack(
    locator: dict[str, str], stack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies it in an emergency must not have to know what stands for what."""
    target = SimpleNamespace(
        heads=lambda: None, migration_lock=contextlib.nullcontext, rollback=SimpleNamespace(load=lambda *_: None)
    )

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


def test_nothing_else_of_a_message_is_changed() -> None:
    """The word alone may be somebody's own."""
    assert offered.typed("STACK, --stack STACK --unpin", "dev") == "STACK, --stack dev --unpin"
