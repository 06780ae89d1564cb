"""The backend that a command is for: that of a stack, found by its file, or that of a locator's address."""

from __future__ import annotations

import contextlib
from functools import cached_property
from typing import TYPE_CHECKING, Final

from mlflow_backend import targets
from mlflow_backend.contract import UsageError
from mlflow_backend.locator import at

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.locator import Locator
    from mlflow_backend.settings import Settings, YamlSource
    from mlflow_backend.target import Target

LOCATOR_HELP: Final = "instead: the address of a backend, as the stack output `locator` of any program says it"
FOLDER: Final = ".backend"
"""Below a project's folder: where targets on this machine keep their stacks."""


class Stack:
    """A stack of the project in a folder, by its file, which is read and parsed once.

    `settings` and `target` raise SettingsError, the first for a file that cannot be read, the second if there is
    neither a file nor a backend here.
    """

    def __init__(self, name: str, root: Path) -> None:
        """Name the stack and the project's folder; nothing is read yet."""
        self.name, self.root, self.folder = name, root, root / FOLDER

    @cached_property
    def _file(self) -> YamlSource:
        # The settings take a fifth of a second, for which the rollback of a service without a stack need not wait.
        from mlflow_backend.settings import YamlSource  # noqa: PLC0415

        return YamlSource.read(self.root / f"Pulumi.{self.name}.yaml")

    @cached_property
    def settings(self) -> Settings:
        """The settings of its file."""
        from mlflow_backend.settings import load, of_stack  # noqa: PLC0415 - as above

        return of_stack(load(self._file), self.name)

    @property
    def target(self) -> Target:
        """Its target."""
        from mlflow_backend.settings import SettingsError  # noqa: PLC0415 - as above

        try:
            name = self._file.get("target") or ""
        except SettingsError:
            # A backend on this machine is found by its folder, also after its file was renamed.
            for each in map(targets.get, targets.MODULES):
                if each.loopback and (self.folder / self.name).exists():
                    return each
            raise
        with contextlib.suppress(UsageError):
            return targets.get(name)
        return targets.get(self.settings.target)

    @property
    def project(self) -> str:
        """The name of the project; empty if none is in the folder."""
        import yaml  # noqa: PLC0415 - as above

        file = self.root / "Pulumi.yaml"
        return str(yaml.safe_load(file.read_text(encoding="utf-8"))["name"]) if file.exists() else ""

    def locator(self) -> Locator:
        """Return the locator of its backend. Raises SettingsError, and Refused if it is not deployed."""
        return self.target.locate(lambda: self.settings, project=self.project, stack=self.name, folder=self.folder)


def add_choice(parser: argparse.ArgumentParser, *, default: str | None = None) -> None:
    """Add the options that name the backend, --stack and --locator; `default` is the stack if neither is given."""
    which = parser.add_mutually_exclusive_group(required=default is None)
    which.add_argument("--stack", default=default, help=f"the stack{f' (default: {default})' if default else ''}")
    which.add_argument("--locator", metavar="ADDRESS", help=LOCATOR_HELP)


def located(options: argparse.Namespace, root: Path) -> Locator:
    """Return the locator of the backend that the command line names.

    Raises SettingsError for a stack's file that cannot be read, Refused for a backend that is not deployed.
    """
    return Stack(options.stack, root).locator() if options.locator is None else at(options.locator)


def opened(options: argparse.Namespace, root: Path) -> DeployedBackend:
    """Return the backend that the command line names (see `located`)."""
    return deployed(located(options, root))


def deployed(locator: Locator) -> DeployedBackend:
    """Return the backend that a locator names."""
    # It takes a second, for which nobody waits who is refused before.
    from mlflow_backend.deployed import DeployedBackend  # noqa: PLC0415

    return DeployedBackend(targets.get(locator.kind).platform(locator))
