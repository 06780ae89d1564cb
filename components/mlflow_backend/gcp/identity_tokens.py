"""Identity tokens of a service account, as Google's own check of callers wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.gcp.api import IDENTITY, GoogleError

if TYPE_CHECKING:
    from mlflow_backend.gcp.api import Api


def token(api: Api, name: str) -> tuple[str, str]:
    """Return a token of the account for the audience that EMAIL#AUDIENCE names, or '' and what is wrong."""
    email, _, audience = name.partition("#")
    body = {"audience": audience, "includeEmail": True}
    try:
        found = api.call("POST", IDENTITY, f"v1/projects/-/serviceAccounts/{email}:generateIdToken", body)
    except GoogleError as error:
        return "", f"{error.finding}; the deployer needs iam.serviceAccounts.getOpenIdToken on that account"
    return str(found["token"]), ""
