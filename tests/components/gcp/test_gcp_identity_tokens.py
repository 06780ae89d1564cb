"""Tokens of a service account: Google's for Cloud Run's check, and one that the account signs for IAP's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.gcp.api import GoogleError
from mlflow_backend.gcp.identity_tokens import signed, token
from tests.google_apis import problems

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = "verify@team-project.iam.gserviceaccount.com"


class Google:
    """The API of credentials, which notes what it is asked."""

    def __init__(self, answer: dict[str, Any] | None) -> None:
        """Answer so, or refuse."""
        self.answer, self.asked = answer, list[tuple[str, dict[str, Any]]]()

    def call(self, method: str, host: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Answer."""
        assert (method, host) == ("POST", "iamcredentials.googleapis.com")
        self.asked.append((path, body))
        if self.answer is None:
            raise GoogleError("no", status=403, reason="PERMISSION_DENIED", part=path)
        return self.answer


def test_a_token_for_cloud_run_is_googles() -> None:
    """It is for the service, and says whose it is."""
    google = Google({"token": "t"})
    assert token(google, f"{ACCOUNT}#https://service.example") == ("t", "")  # type: ignore[arg-type]
    ((path, body),) = google.asked
    assert path == f"v1/projects/-/serviceAccounts/{ACCOUNT}:generateIdToken"
    assert problems("iamcredentials.v1", "GenerateIdTokenRequest", body) == []


def test_a_token_for_iap_is_the_accounts_own() -> None:
    """For an hour at most, from itself about itself, for every path of one host."""
    google = Google({"keyId": "k", "signedJwt": "j"})
    assert signed(google, f"{ACCOUNT}#https://service.example/*") == ("j", "")  # type: ignore[arg-type]
    ((path, body),) = google.asked
    assert path == f"v1/projects/-/serviceAccounts/{ACCOUNT}:signJwt"
    assert problems("iamcredentials.v1", "SignJwtRequest", body) == []
    claims = json.loads(body["payload"])
    assert (claims["iss"], claims["sub"], claims["aud"]) == (ACCOUNT, ACCOUNT, "https://service.example/*")
    assert 0 < claims["exp"] - claims["iat"] <= 3600


@pytest.mark.parametrize(("drawn", "permission"), [(token, "getOpenIdToken"), (signed, "signJwt")])
def test_what_the_deployer_lacks_is_named(drawn: Callable[[Any, str], tuple[str, str]], permission: str) -> None:
    """The permission is on the account, which the project's own roles do not give."""
    value, problem = drawn(Google(None), f"{ACCOUNT}#https://service.example/*")
    assert value == ""
    assert f"iam.serviceAccounts.{permission}" in problem
