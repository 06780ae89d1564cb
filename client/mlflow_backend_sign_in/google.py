"""Google identity tokens: of the machine, of a credentials file, or of a service account that is impersonated.

An audience that ends with `/*` is Identity-Aware Proxy's: the URLs to which a service account says itself who it is, by
a token that it signs ('Programmatic authentication', Identity-Aware Proxy).
"""

from __future__ import annotations

import base64
import functools
import importlib
import json
import os
import time
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from mlflow_backend_sign_in.settings import AUDIENCE, CREDENTIALS, SERVICE_ACCOUNT
from mlflow_backend_sign_in.tokens import SignInFailed, Token, renewal

_TRY_S = 8.0
_PAUSES_S = (0.5, 1.0)
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
_LARGEST_ANSWER = 1024 * 1024
_METADATA = "computeMetadata/v1/instance/service-accounts/default"
_ROLES = {
    "iamcredentials": f"roles/iam.serviceAccountTokenCreator on {SERVICE_ACCOUNT}, for IAP also on its own account",
    "secretmanager": "roles/secretmanager.secretAccessor on the secret",
}
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_SIGNED = "/*"
# As long as IAP lets one last.
_SIGNED_S = 3600


def identity_token(audience: str, service_account: str, credentials: str) -> Token:
    """Return an identity token for an audience. Raises SignInFailed.

    It is that of a service account to impersonate, else of a credentials file, else of the machine; empty is left out.
    """
    if audience.endswith(_SIGNED):
        text = _signed(audience, service_account, credentials)
    elif service_account:
        body = {"audience": audience, "includeEmail": True}
        method = f"projects/-/serviceAccounts/{service_account}:generateIdToken"
        text = str(called("iamcredentials", method, body, credentials).get("token", ""))
    elif credentials:
        text = _of_file(credentials, audience)
    else:
        text = _metadata("identity", audience=audience, format="full").strip()
    try:
        return Token(text, renewal(_expiry(text), time.time()))
    except (KeyError, TypeError, ValueError):
        raise SignInFailed(f"Google answered with no identity token for {AUDIENCE}. Correct the audience.") from None


def _signed(audience: str, service_account: str, credentials: str) -> str:
    """Return a token that a service account signed: with the key of a file, else by Google."""
    own = "" if service_account or not credentials else _account_of(credentials)
    email = service_account or own or _metadata("email").strip()
    now = int(time.time())
    claims = {"iss": email, "sub": email, "aud": audience, "iat": now, "exp": now + _SIGNED_S}
    if own:
        return _of_file(credentials, audience, claims)
    method = f"projects/-/serviceAccounts/{email}:signJwt"
    return str(called("iamcredentials", method, {"payload": json.dumps(claims)}, credentials).get("signedJwt", ""))


def _account_of(path: str) -> str:
    """Return the account of a key file. Raises SignInFailed."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - as the rest of this package
            return str(_json(file.read())["client_email"])
    except (OSError, KeyError, ValueError) as error:
        raise _unusable(type(error).__name__, path, "IAP") from None


def called(api: str, method: str, body: dict[str, Any] | None, credentials: str) -> dict[str, Any]:
    """Return the answer of a method of Google's API. A body is posted. Raises SignInFailed.

    The endpoint is the one that gcloud uses, private and regional ones too (`gcloud topic endpoint-override`).
    """
    endpoint = os.environ.get(f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{api.upper()}") or f"https://{api}.googleapis.com/"
    address = f"{endpoint.rstrip('/')}/v1/{method}"
    data = None if body is None else json.dumps(body).encode()
    try:
        token = _of_file(credentials, "") if credentials else _json(_metadata("token"))["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        request = Request(address, data, headers)  # noqa: S310 - http or https
        return _json(_answer(request, f"Google's API {api}", f"The caller needs {_ROLES[api]}"))
    except (KeyError, ValueError):
        raise SignInFailed(f"Google answered without what {api} was asked for. Look at what answers there.") from None


def _metadata(what: str, **query: str) -> str:
    """Return what the metadata server of a machine on Google Cloud says of its service account."""
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    address = f"http://{host}/{_METADATA}/{what}" + (f"?{urlencode(query)}" if query else "")
    request = Request(address, headers={"Metadata-Flavor": "Google"})
    fix = f"It answers on Google Cloud alone: elsewhere set {CREDENTIALS}"
    # A proxy of the environment does not reach it.
    return _answer(request, "Google's metadata server", fix, ProxyHandler({}))


def _answer(request: Request, whose: str, fix: str, *handlers: Any) -> str:
    """Return the body of an answer, asked for again if the failure may pass by itself."""
    for pause in (*_PAUSES_S, None):
        try:
            with build_opener(*handlers).open(request, timeout=_TRY_S) as answer:
                return str(answer.read(_LARGEST_ANSWER).decode())
        except HTTPError as error:
            error.close()
            finding, passes = f"answered {error.code}", error.code in _TRANSIENT
        except (OSError, HTTPException, ValueError) as error:
            finding, passes = f"cannot be reached ({getattr(error, 'reason', None) or type(error).__name__})", True
        if pause is None or not passes:
            break
        time.sleep(pause)
    raise SignInFailed(f"{whose} {finding}. {fix}.")


def _of_file(path: str, audience: str, claims: dict[str, Any] | None = None) -> str:
    """Return the identity token for an audience, or without one an access token, of a credentials file.

    With `claims` the file's key signs these.

    google-auth signs, because the standard library has no RSA; it reads every other kind of file too.
    """
    try:
        auth = importlib.import_module("google.auth")
        transport = importlib.import_module("google.auth.transport.requests")
        account = importlib.import_module("google.oauth2.service_account")
    except ImportError:
        raise SignInFailed(
            f"{CREDENTIALS} is set, and google-auth is not installed. Install mlflow-backend-client[google]."
        ) from None
    try:
        if claims is not None:
            signer = account.Credentials.from_service_account_file(path).signer
            return str(importlib.import_module("google.auth.jwt").encode(signer, claims).decode())
        if audience:
            found = account.IDTokenCredentials.from_service_account_file(path, target_audience=audience)
        else:
            found, _ = auth.default(scopes=[_SCOPE])
        found.refresh(functools.partial(transport.Request(), timeout=_TRY_S))
    except auth.exceptions.GoogleAuthError as error:
        raise _unusable(str(error.args[0] if error.args else "")[:200], path, audience) from None
    except Exception as error:  # noqa: BLE001 - a text of others could show the key
        raise _unusable(type(error).__name__, path, audience) from None
    return str(found.token)


def _unusable(finding: str, path: str, audience: str) -> SignInFailed:
    fix = f"Name the key of a service account, or an account to impersonate by {SERVICE_ACCOUNT}" if audience else ""
    fix = fix or "Name a file that Google's clients take"
    return SignInFailed(f"{CREDENTIALS}: {path} gives no token ({finding}). {fix}.")


def _expiry(token: str) -> float:
    """Return when a JSON Web Token expires, by the clock of time.time(). Raises ValueError if it is none."""
    payload = token.split(".")[1] if token.count(".") == 2 else ""  # noqa: PLR2004 - head, payload, signature
    return float(_json(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode())["exp"])


def _json(text: str) -> dict[str, Any]:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise ValueError("no object")  # noqa: TRY004 - one kind of error for what is no document
    return document
