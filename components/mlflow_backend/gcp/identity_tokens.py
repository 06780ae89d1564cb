"""Tokens of a service account, as Google's own checks of callers want them: Cloud Run's, and Identity-Aware Proxy's."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Final

from mlflow_backend.gcp.api import IDENTITY, GoogleError

if TYPE_CHECKING:
    from mlflow_backend.gcp.api import Api, Document


# 'Programmatic authentication' (Identity-Aware Proxy): an hour at most.
_LIFETIME_S: Final = 3600


def token(api: Api, name: str) -> tuple[str, str]:
    """Return an identity token of the account for the audience that EMAIL#AUDIENCE names, or '' and what is wrong."""
    email, _, audience = name.partition("#")
    return _drawn(api, email, "generateIdToken", {"audience": audience, "includeEmail": True}, "getOpenIdToken")


def signed(api: Api, name: str) -> tuple[str, str]:
    """Return what the account says of itself to the URLs that EMAIL#AUDIENCE names, or '' and what is wrong.

    IAP takes it of a service account ('Programmatic authentication'). Google's identity tokens would be for the OAuth
    client of the proxy, which is Google's own and is not known.
    """
    email, _, audience = name.partition("#")
    now = int(time.time())
    claims = {"iss": email, "sub": email, "aud": audience, "iat": now, "exp": now + _LIFETIME_S}
    return _drawn(api, email, "signJwt", {"payload": json.dumps(claims)}, "signJwt")


def _drawn(api: Api, email: str, method: str, body: Document, permission: str) -> tuple[str, str]:
    try:
        found = api.call("POST", IDENTITY, f"v1/projects/-/serviceAccounts/{email}:{method}", body)
    except GoogleError as error:
        return "", f"{error.finding}; the deployer needs iam.serviceAccounts.{permission} on that account"
    return str(found.get("token") or found["signedJwt"]), ""
