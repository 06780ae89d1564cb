"""Which backend a stack means, for commands that have the stack's file and no Pulumi state."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.ecs.render.place import Place
    from mlflow_backend.settings import Settings


def target_of(stack: str, root: Path) -> str:
    """Return the target that a stack is of. Raises SettingsError where there is neither a file nor a local backend."""
    from mlflow_backend.settings import SettingsError, YamlSource  # noqa: PLC0415 - as below

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
    with contextlib.suppress(Refused):
        return target_of(stack, root) == "ecs"
    return False


def local_backend(stack: str, root: Path) -> Path:
    """Return the state folder of a stack on this machine. Raises Refused where nothing is deployed."""
    folder = root / ".backend" / stack
    if not folder.exists():
        raise Refused(f"Stack {stack} has no local backend here.", fix=f"Run `make up STACK={stack}`.")
    return folder


def locator_of(stack: str, root: Path) -> dict[str, str]:
    """Return the locator of a stack's backend.

    Raises SettingsError for a file that cannot be read, Refused for a backend that is not deployed.
    """
    if target_of(stack, root) != "ecs":
        return {"kind": "local", "state": str(local_backend(stack, root))}
    from mlflow_backend.ecs.lookup import locate  # noqa: PLC0415 - AWS only where it is asked

    settings = settings_of(stack, root)
    return locate(settings, place_on_ecs(settings, stack, root))


def settings_of(stack: str, root: Path) -> Settings:
    """Return the settings of a stack's file. Raises SettingsError."""
    # They take a fifth of a second, for which the rollback of a service without a stack need not wait.
    from mlflow_backend.settings import YamlSource, load  # noqa: PLC0415

    return load(YamlSource.read(root / f"Pulumi.{stack}.yaml"))


def place_on_ecs(settings: Settings, stack: str, root: Path) -> Place:
    """Return where a stack's backend on AWS belongs. Raises Refused for settings that the target cannot fulfil."""
    import yaml  # noqa: PLC0415 - as in settings_of

    from mlflow_backend.ecs.refusals import place_of  # noqa: PLC0415

    project = yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))["name"]
    return place_of(settings, project=project, stack=stack)
