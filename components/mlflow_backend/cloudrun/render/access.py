"""Access to a server on Cloud Run: Google's own check, the server's, or both by two headers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlflow_backend.cloudrun.render.inputs import public_url

if TYPE_CHECKING:
    from collections.abc import Collection

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

INVOKER: Final = "roles/run.invoker"
IAP_USER: Final = "roles/iap.httpsResourceAccessor"
SECOND_HEADERS: Final = {
    # 'Service-to-service authentication' (Cloud Run): if both headers are there, only this one is checked.
    "iam": "X-Serverless-Authorization",
    # 'Programmatic authentication' (Identity-Aware Proxy).
    "iap": "Proxy-Authorization",
}


def of_service(settings: Settings) -> dict[str, bool]:
    """Return who checks a request: Cloud Run for its invokers, IAP before it, or neither, if the server does.

    Cloud Run's check is switched off and not opened to `allUsers`, which organisations forbid, and which would stay
    when the server's own check went. IAP calls the service as an invoker, so that with it the check stays on.
    """
    identity = settings.gcp.access.identity
    return {"iapEnabled": identity == "iap", "invokerIamDisabled": identity is None}


def bindings(settings: Settings, naming: Naming, *, own: Collection[str]) -> list[dict[str, Any]]:
    """Return the bindings on the service: the named principals, and the backend's `own` accounts that call it.

    With IAP the service is invoked by IAP's own agent, and by these accounts.
    """
    wanted = settings.gcp.access
    if wanted.identity is None:
        return []
    callers = [iap_agent(naming)] if wanted.identity == "iap" else wanted.principals
    return [{"role": INVOKER, "members": sorted({*callers, *own})}]


def maintainable(settings: Settings) -> bool:
    """Return whether a job can call the servers as MLflow's own client does, which sends one header alone."""
    wanted = settings.gcp.access
    return wanted.identity is None or (wanted.identity == "iam" and not wanted.second_header)


def iap_bindings(settings: Settings, *, verifier: str) -> list[dict[str, Any]]:
    """Return the bindings that IAP checks."""
    wanted = settings.gcp.access
    if wanted.identity != "iap":
        return []
    return [{"role": IAP_USER, "members": sorted({*wanted.principals, verifier})}]


def iap_agent(naming: Naming) -> str:
    """Return IAP's service agent in the project ('Configure IAP for Cloud Run')."""
    return f"serviceAccount:service-{naming.number}@gcp-sa-iap.iam.gserviceaccount.com"


def sign_in(settings: Settings, naming: Naming) -> dict[str, str]:
    """Return what clients set so that they are let through by Google and stay so (docs/clients.md); {} without it."""
    wanted = audience(settings, naming)
    if wanted is None:
        return {}
    found = {"MLFLOW_TRACKING_AUTH": "mlflow-backend", "MLFLOW_BACKEND_AUDIENCE": wanted}
    second = SECOND_HEADERS[str(settings.gcp.access.identity)] if settings.gcp.access.second_header else None
    return found if second is None else {**found, "MLFLOW_BACKEND_IDENTITY_HEADER": second}


def audience(settings: Settings, naming: Naming) -> str | None:
    """Return the audience that clients' identity tokens must have, None if Google checks none.

    Of IAP it is the URLs that a service account signs a token of its own for; of Cloud Run the service's own URL, also
    if it is called by another.
    """
    identity = settings.gcp.access.identity
    if identity is None:
        return None
    return iap_audience(public_url(settings, naming)) if identity == "iap" else naming.url()


def iap_audience(url: str) -> str:
    """Return what a token is for that IAP takes at every path of a host ('Programmatic authentication')."""
    return f"https://{urlsplit(url).hostname}/*"
