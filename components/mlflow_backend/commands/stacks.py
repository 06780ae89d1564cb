"""Which backend a command is for: that of a stack, found by the stack's file, or that of a locator's address."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Final

from mlflow_backend import targets
from mlflow_backend.contract import UsageError
from mlflow_backend.locator import at

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.locator import Locator
    from mlflow_backend.settings import Settings
    from mlflow_backend.target import Target

LOCATOR_HELP: Final = "instead: the address of a backend, as the stack output `locator` of any program says it"
FOLDER: Final = ".backend"
"""Below a project's folder: where targets on this machine keep their stacks."""


def target_of(stack: str, root: Path) -> Target:
    """Return the target of a stack. Raises SettingsError if there is neither a file nor a backend here."""
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


def add_choice(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Add the options that name the backend, --stack and --locator; `default` is the stack if neither is given."""
    which = parser.add_mutually_exclusive_group(required=default is None)
    which.add_argument("--stack", default=default, help=f"the stack{f' (default: {default})' if default else ''}")
    which.add_argument("--locator", metavar="ADDRESS", help=LOCATOR_HELP)


def located(options: argparse.Namespace, root: Path) -> Locator:
    """Return the locator of the backend that the command line names.

    Raises SettingsError for a stack's file that cannot be read, Refused for a backend that is not deployed.
    """
    if options.locator is not None:
        return at(options.locator)
    return locator_of(options.stack, root)


def opened(options: argparse.Namespace, root: Path) -> DeployedBackend:
    """Return the backend that the command line names (see `located`)."""
    # It takes a second, for which nobody waits who is refused before.
    from mlflow_backend.releases.targets import open_releases  # noqa: PLC0415

    deployed: DeployedBackend = open_releases(located(options, root))
    return deployed


def locator_of(stack: str, root: Path) -> Locator:
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
    """Return the name of the project that the stacks in a folder are of; empty if no project is."""
    import yaml  # noqa: PLC0415 - as in settings_of

    file = root / "Pulumi.yaml"
    return str(yaml.safe_load(file.read_text(encoding="utf-8"))["name"]) if file.exists() else ""
