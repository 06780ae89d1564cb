"""Which backend a stack means, for commands that have the stack's file and no Pulumi state."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from mlflow_backend import targets
from mlflow_backend.contract import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow_backend.settings import Settings
    from mlflow_backend.target import Target

FOLDER: Final = ".backend"
"""Below a project's folder: where targets on this machine keep their stacks."""


def target_of(stack: str, root: Path) -> Target:
    """Return the target of a stack. Raises SettingsError where there is neither a file nor a backend here."""
    from mlflow_backend.settings import SettingsError, YamlSource  # noqa: PLC0415 - as below

    try:
        name = YamlSource.read(root / f"Pulumi.{stack}.yaml").get("target") or ""
    except SettingsError:
        # A backend on this machine is found by its folder, also after its file was renamed.
        for each in map(targets.get, targets.MODULES):
            if each.loopback and (root / FOLDER / stack).exists():
                return each
        raise
    with contextlib.suppress(UsageError):
        return targets.get(name)
    return targets.get(settings_of(stack, root).target)


def locator_of(stack: str, root: Path) -> Mapping[str, str]:
    """Return the locator of a stack's backend.

    Raises SettingsError for a file that cannot be read, Refused for a backend that is not deployed.
    """
    return target_of(stack, root).locate(
        partial(settings_of, stack, root), project=project_of(root), stack=stack, folder=root / FOLDER
    )


def settings_of(stack: str, root: Path) -> Settings:
    """Return the settings of a stack's file. Raises SettingsError."""
    # They take a fifth of a second, for which the rollback of a service without a stack need not wait.
    from mlflow_backend.settings import YamlSource, load  # noqa: PLC0415

    return load(YamlSource.read(root / f"Pulumi.{stack}.yaml"))


def project_of(root: Path) -> str:
    """Return the name of the project that the stacks in a folder are of; empty where no project is."""
    import yaml  # noqa: PLC0415 - as in settings_of

    file = root / "Pulumi.yaml"
    return str(yaml.safe_load(file.read_text(encoding="utf-8"))["name"]) if file.exists() else ""
