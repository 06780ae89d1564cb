"""The locator of a backend on Cloud Run, by which it is found without Pulumi. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.cloudrun.render.access import SECOND_HEADERS, audience, iap_audience
from mlflow_backend.cloudrun.render.inputs import public_url
from mlflow_backend.cloudrun.render.service import scaling
from mlflow_backend.gcp.naming import Naming
from mlflow_backend.gcp.render import storage
from mlflow_backend.gcp.render.identity import VERIFIER
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.hosted import HostedLocator

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

SECRET = "gcp-secret"  # noqa: S105 - the scheme of a reference
IDENTITY = "gcp-identity"
SIGNED = "gcp-signed"
DRAWN = "MLFLOW_BACKEND_PROBE_IDENTITY"
"""The variable in which a verification within the network has the token that it drew."""


@dataclass(frozen=True, kw_only=True)
class CloudRunLocator(HostedLocator):
    """A backend on Cloud Run: its project, its service's names, its store, and how users call it.

    `identity` is Google's own check with its `audience`, each empty if there is none. `least` and `most` are the
    instances of the service, which Google forgets while it has none.
    """

    kind = "cloudrun"
    kept_in = GcsRoot
    project: str
    number: str
    region: str
    stack_project: str
    name: str
    identity: str = ""
    audience: str = ""
    least: int
    most: int

    @property
    def naming(self) -> Naming:
        """What its parts are called."""
        return Naming(
            stack_project=self.stack_project,
            stack=self.stack,
            name=self.name,
            project=self.project,
            number=self.number,
            region=self.region,
        )

    def reference(self, secret: str) -> str:
        """Return the reference to one of the server's secrets."""
        return f"{SECRET}:{self.naming.secret(secret)}#latest"

    @property
    def credentials(self) -> dict[str, str]:
        """Where verification finds the users' kind of login: if Google checks callers, it draws a token."""
        return self.credentials_at(self.url)

    def credentials_at(self, url: str) -> dict[str, str]:
        """Return where it finds the login at another address of the service: IAP's tokens are for one each.

        If the server has a check of its own, Google's token goes in Google's second header.
        """
        scheme, wanted = (SIGNED, iap_audience(url)) if self.identity == "iap" else (IDENTITY, self.audience)
        return self._with_token(super().credentials, f"{scheme}:{self.naming.email(VERIFIER)}#{wanted}")

    @property
    def credentials_inside(self) -> dict[str, str]:
        """Where it finds the login within its own task, which draws Google's token by its identity."""
        return self._with_token(super().credentials_inside, f"env:{DRAWN}")

    def _with_token(self, own: dict[str, str], token: str) -> dict[str, str]:
        if not self.identity:
            return own
        if not own:
            return {"identityToken": token}
        return {**own, "gateToken": token, "gateHeader": SECOND_HEADERS[self.identity]}

    @property
    def scaling(self) -> dict[str, int]:
        """The instances of the service, as run.v2 spells them."""
        return {"minInstanceCount": self.least, "maxInstanceCount": self.most}


def locator_of(settings: Settings, naming: Naming) -> CloudRunLocator:
    """Return the locator of the backend that settings describe: nothing in it is drawn by Google."""
    store, instances = storage.store(settings, naming), scaling(settings)
    return CloudRunLocator(
        stack=naming.stack,
        project=naming.project,
        number=naming.number,
        region=naming.region,
        stack_project=naming.stack_project,
        name=naming.name,
        url=public_url(settings, naming),
        bucket=store.bucket,
        root=store.root,
        access=settings.access.mode,
        identity=settings.gcp.access.identity or "",
        audience=audience(settings, naming) or "",
        inside=settings.gcp.network.ingress != "all",
        least=instances["minInstanceCount"],
        most=instances["maxInstanceCount"],
    )
