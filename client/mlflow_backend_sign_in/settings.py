"""The settings of sign-in, by the environment, and the headers by which a request is signed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend_sign_in.tokens import SignInFailed

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "MLFLOW_BACKEND_KEY"
AUDIENCE = "MLFLOW_BACKEND_AUDIENCE"
SERVICE_ACCOUNT = "MLFLOW_BACKEND_SERVICE_ACCOUNT"
IDENTITY_HEADER = "MLFLOW_BACKEND_IDENTITY_HEADER"
CREDENTIALS = "GOOGLE_APPLICATION_CREDENTIALS"
SOURCES = ("file:", "command:", "arn:", "projects/")
"""How a reference to an API key begins."""
_AUTHORIZATION, _SERVERLESS = "Authorization", "X-Serverless-Authorization"
IDENTITY_HEADERS = (_AUTHORIZATION, "Proxy-Authorization", _SERVERLESS)
"""Where Google looks for an identity token: Identity-Aware Proxy in the first two, Cloud Run in the first and last."""


@dataclass(frozen=True)
class Settings:
    """Where the API key is, whose identity token is wanted for which audience, and in which header it goes."""

    key: str
    audience: str
    service_account: str
    identity_header: str
    credentials: str

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables. Raises SignInFailed if they ask for nothing, or for what does not exist."""
        names = (KEY, AUDIENCE, SERVICE_ACCOUNT, IDENTITY_HEADER, CREDENTIALS)
        found = cls(*(environment.get(name, "").strip() for name in names))
        if not found.key and not found.audience:
            raise SignInFailed(f"Neither {KEY} nor {AUDIENCE} is set. Set the one that the server asks for, or both.")
        if found.key and not found.key.startswith(SOURCES):
            # The value is not shown: it may be the key itself.
            raise SignInFailed(f"{KEY} names no source. Begin it with one of {', '.join(SOURCES)}; it is not the key.")
        if found.service_account and not found.audience:
            raise SignInFailed(f"{SERVICE_ACCOUNT} is set without {AUDIENCE}. Set the audience too.")
        if found.identity_header and found.identity_header not in IDENTITY_HEADERS:
            raise SignInFailed(f"{IDENTITY_HEADER} is none of {', '.join(IDENTITY_HEADERS)}. Choose one, or unset it.")
        return found

    def headers(self, key: str, identity: str, *, other_login: bool) -> dict[str, str]:
        """Return the headers for an API key and an identity token, each empty if it is not asked for.

        `other_login` says that the request has an Authorization already. Raises SignInFailed if two logins need one
        header.
        """
        if key and other_login:
            raise SignInFailed(
                f"{KEY} is set beside MLFLOW_TRACKING_TOKEN or MLFLOW_TRACKING_USERNAME: unset the one or the other."
            )
        headers = {_AUTHORIZATION: f"Bearer {key}"} if key else {}
        if identity:
            name = self.identity_header or (_SERVERLESS if key or other_login else _AUTHORIZATION)
            if name == _AUTHORIZATION and (key or other_login):
                raise SignInFailed(f"{IDENTITY_HEADER} is {name}, where another login goes. Unset it, or name another.")
            headers[name] = f"Bearer {identity}"
        return headers
