"""How a toy backend is found again: by its folder."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow_backend.locator import Locator


@dataclass(frozen=True, kw_only=True)
class ToyLocator(Locator):
    """A backend in a folder of this machine."""

    kind = "toy"
    folder: str

    @property
    def address(self) -> str:
        """The folder."""
        return self.folder
