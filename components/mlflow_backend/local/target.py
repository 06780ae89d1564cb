"""The target `local`: processes of this user on this machine's loopback."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import not_deployed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow_backend.findings import Finding
    from mlflow_backend.local.backed_up import LocalBackups
    from mlflow_backend.local.backend import LocalBackend
    from mlflow_backend.local.locator import LocalLocator
    from mlflow_backend.local.maintenance import LocalMaintenance
    from mlflow_backend.local.platform import LocalPlatform
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.report.policies import RenderedParts
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

# Each method imports what it needs: a command that asks one thing must not wait for the others.
# ruff: noqa: PLC0415


class LocalTarget:
    """See target.Target."""

    name = "local"
    loopback = True
    platforms: frozenset[str] = frozenset()

    def unverified_between_updates(self, settings: Settings) -> str:
        """Return nothing: the timer verifies."""
        del settings
        return ""

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> LocalBackend:
        """Register the backend, in a folder of its own."""
        del project
        from mlflow_backend.local.backend import LocalBackend, LocalBackendArgs

        return LocalBackend("mlflow", LocalBackendArgs(settings=settings, folder=folder / stack, project=folder.parent))

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> LocalLocator:
        """Return the folder, whatever the stack's file says by now."""
        del settings, project
        if not (folder / stack).exists():
            raise not_deployed(stack, str(folder), "there is no folder of its name")
        return self.locator(stack=stack, folder=str(folder / stack))

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at this machine, and at the project's folder."""
        del project
        from mlflow_backend.local import doctor
        from mlflow_backend.local.state import StateDir

        return tuple(doctor.check(settings, StateDir(folder / stack), folder.parent))

    def rendered(self, settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
        """Return nothing: no policy is about processes of this machine."""
        del settings, project, stack, image
        from mlflow_backend.report.policies import RenderedParts

        return RenderedParts()

    def billing(self) -> Mapping[str, Billing]:
        """Return nothing: processes of this machine are not billed."""
        return {}

    @property
    def locator(self) -> type[LocalLocator]:
        """How its backends are found."""
        from mlflow_backend.local.locator import LocalLocator

        return LocalLocator

    def store_at(self, address: str) -> Store | None:
        """Return the store of the backend in a folder."""
        from mlflow_backend.local.state import StateDir
        from mlflow_backend.releases.stores import FileStore

        return FileStore(StateDir(Path(address)).backend_store) if Path(address).is_dir() else None

    def backups(self, locator: LocalLocator, file: Path) -> LocalBackups:
        """Return what takes and restores backups of the backend in a folder."""
        from mlflow_backend.local.backed_up import LocalBackups

        return LocalBackups(locator.state, file)

    def maintenance(self, locator: LocalLocator) -> LocalMaintenance:
        """Return what maintains the backend in a folder."""
        from mlflow_backend.local.maintenance import LocalMaintenance

        return LocalMaintenance(locator.state)

    def platform(self, locator: LocalLocator) -> LocalPlatform:
        """Return the live side of the backend in a folder."""
        from mlflow_backend.local.platform import LocalPlatform

        return LocalPlatform(locator.state)


TARGET: Final = LocalTarget()
