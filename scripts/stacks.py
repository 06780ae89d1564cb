"""Which backend a stack means, for commands that have the stack's file and no Pulumi state."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import yaml

from components.contract import Refused
from components.ecs.oneshot import TaskNotRun
from components.ecs.scale import ScaleFailed
from components.local.state import LocalFailure
from components.migrate.tool import ToolFailed
from components.releases.stores import StoreError
from components.settings import SettingsError, YamlSource, load

if TYPE_CHECKING:
    from pathlib import Path


def failures() -> tuple[type[Exception], ...]:
    """Return the errors of platforms, whose text is for people; AWS's own only where AWS was asked."""
    found: list[type[Exception]] = [LocalFailure, StoreError, ToolFailed, ScaleFailed, TaskNotRun]
    if "botocore.exceptions" in sys.modules:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        found += [BotoCoreError, ClientError]
    return tuple(found)


def target_of(stack: str, root: Path) -> str:
    """Return the target that a stack is of. Raises SettingsError where there is neither a file nor a local backend."""
    try:
        source = YamlSource.read(root / f"Pulumi.{stack}.yaml")
    except SettingsError:
        # A local backend is found by its folder, also after its file was renamed.
        if (root / ".backend" / stack).exists():
            return "local"
        raise
    return source.get("target") or "local"


def on_ecs(stack: str, root: Path) -> bool:
    """Tell whether a stack is of the target ecs; one whose file cannot be read may still have a local backend."""
    with contextlib.suppress(SettingsError):
        return target_of(stack, root) == "ecs"
    return False


def locator_of(stack: str, root: Path) -> dict[str, str]:
    """Return the locator of a stack's backend.

    Raises SettingsError for a file that cannot be read, Refused for a backend that is not deployed.
    """
    if target_of(stack, root) != "ecs":
        state = root / ".backend" / stack
        if not state.exists():
            raise Refused(f"Stack {stack} has no local backend here.", fix=f"Run `make up STACK={stack}`.")
        return {"kind": "local", "state": str(state)}
    from components.ecs.lookup import locate  # noqa: PLC0415 - AWS only where it is asked
    from components.ecs.refusals import place_of  # noqa: PLC0415

    settings = load(YamlSource.read(root / f"Pulumi.{stack}.yaml"))
    project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
    return locate(settings, place_of(settings, project=project, stack=stack))
