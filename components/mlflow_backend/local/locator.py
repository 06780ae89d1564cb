"""The locator of a backend on this machine, by which it is found without Pulumi: its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlflow_backend.local.state import StateDir
from mlflow_backend.locator import Locator


@dataclass(frozen=True, kw_only=True)
class LocalLocator(Locator):
    """A backend on this machine. `folder` is absolute, and holds everything that it owns."""

    kind = "local"
    folder: str

    @classmethod
    def of(cls, state: StateDir) -> LocalLocator:
        """Return the locator of the backend in a folder, whose name is the stack's."""
        return cls(stack=state.path.name, folder=str(state.path))

    @property
    def address(self) -> str:
        """The folder."""
        return self.folder

    @property
    def state(self) -> StateDir:
        """What stands in the folder."""
        return StateDir(Path(self.folder))
