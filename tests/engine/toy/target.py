"""The target `toy`, as the registry finds it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused
from mlflow_backend.findings import passed
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.report.policies import RenderedParts
from mlflow_backend.toy.locator import ToyLocator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow_backend.findings import Finding
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings
    from mlflow_backend.toy.backend import ToyBackend
    from mlflow_backend.toy.platform import ToyPlatform


class ToyTarget:
    """See target.Target."""

    name = "toy"
    loopback = True
    maintenance = None
    platforms: frozenset[str] = frozenset()
    locator = ToyLocator

    def store_at(self, address: str) -> FileStore | None:
        """Return the store in a folder."""
        return FileStore(Path(address)) if Path(address).is_dir() else None

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> ToyLocator:
        """Return the folder."""
        del settings, project
        if not (folder / stack).exists():
            raise Refused(f"Stack {stack} is not deployed.", code="toy-missing", fix="Run `pulumi up`.")
        return ToyLocator(stack=stack, folder=str(folder / stack))

    def platform(self, locator: ToyLocator) -> ToyPlatform:
        """Return the live side."""
        from mlflow_backend.toy.platform import ToyPlatform  # noqa: PLC0415 - as in every target

        return ToyPlatform(locator)

    def unverified_between_updates(self, settings: Settings) -> str:
        """Return that nothing does."""
        del settings
        return "a toy has no clock"

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> ToyBackend:
        """Register the backend."""
        del project
        from mlflow_backend.toy.backend import ToyBackend  # noqa: PLC0415

        return ToyBackend("mlflow", settings=settings, locator=ToyLocator(stack=stack, folder=str(folder / stack)))

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at nothing: nothing is needed."""
        del settings, project, stack, folder
        return (passed("toy", "target", "nothing is needed."),)

    def rendered(self, settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
        """Return nothing: no policy is about it."""
        del settings, project, stack, image
        return RenderedParts()

    def billing(self) -> Mapping[str, Billing]:
        """Return nothing: nobody pays."""
        return {}


TARGET: Final = ToyTarget()
