"""The target `cloudrun`: Cloud Run on Google Cloud, with Cloud SQL, Memorystore and Cloud Storage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import not_deployed
from mlflow_backend.hosted import HostedTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.cloudrun.backend import CloudRunBackend
    from mlflow_backend.cloudrun.locator import CloudRunLocator
    from mlflow_backend.cloudrun.platform import CloudRunPlatform
    from mlflow_backend.findings import Finding
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.report.policies import RenderedParts
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

# Each method imports what it needs: pulumi_gcp takes seconds, google-auth a fifth of one.
# ruff: noqa: PLC0415


class CloudRunTarget(HostedTarget):
    """See target.Target."""

    name = "cloudrun"
    platforms = frozenset({"gcp"})

    def unverified_between_updates(self, settings: Settings) -> str:
        """Return why no job can: it has the identity of the account that it runs as, and signs nothing for IAP."""
        if settings.gcp.access.identity != "iap":
            return ""
        return "gcp.access.identity is iap, and the verification inside the network signs no token"

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> CloudRunBackend:
        """Register the backend."""
        del project, stack, folder
        from mlflow_backend.cloudrun.backend import CloudRunBackend, CloudRunBackendArgs

        return CloudRunBackend("mlflow", CloudRunBackendArgs(settings=settings))

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> CloudRunLocator:
        """Return the locator that the settings give, if Google has the service."""
        del folder
        from mlflow_backend.cloudrun.locator import locator_of
        from mlflow_backend.cloudrun.refusals import naming_of

        known = settings()
        found = locator_of(known, naming_of(known, project=project, stack=stack))
        if self.platform(found).run.service() is None:
            raise not_deployed(
                stack, f"{found.project}, {found.region}", f"there is no service {found.naming.service()}"
            )
        return found

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at the project and the image."""
        del folder
        from mlflow_backend.cloudrun.preflight import check
        from mlflow_backend.cloudrun.refusals import naming_of
        from mlflow_backend.gcp.api import shared

        return check(settings, naming_of(settings, project=project, stack=stack), shared())

    def rendered(self, settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
        """Return the containers of the service and of the jobs."""
        from mlflow_backend.cloudrun.rendered import render

        return render(settings, project=project, stack=stack, image=image)

    def billing(self) -> Mapping[str, Billing]:
        """Return what Google bills."""
        from mlflow_backend.cloudrun.rendered import BILLING

        return BILLING

    @property
    def locator(self) -> type[CloudRunLocator]:
        """How its backends are found."""
        from mlflow_backend.cloudrun.locator import CloudRunLocator

        return CloudRunLocator

    def store_at(self, address: str) -> Store | None:
        """Return the store below a prefix of a bucket."""
        from mlflow_backend.gcp.root import GcsRoot

        if not GcsRoot.is_address(address):
            return None
        from mlflow_backend.gcp.api import shared
        from mlflow_backend.gcp.store import GcsStore

        return GcsStore(shared(), GcsRoot.at(address))

    def platform(self, locator: CloudRunLocator) -> CloudRunPlatform:
        """Return the live side of a service."""
        from mlflow_backend.cloudrun.platform import CloudRunPlatform

        return CloudRunPlatform(locator)


TARGET: Final = CloudRunTarget()
