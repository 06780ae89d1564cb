"""Stand-ins of what issues a login, Google's endpoints among them, and of a tracking server that refuses old ones."""

from __future__ import annotations

import base64
import json
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from tests.components.verify.fake_mlflow import Asked, FakeMLflow, Reply, as_json, error
from tests.google_apis import problems

if TYPE_CHECKING:
    from collections.abc import Mapping

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true"}
"""What keeps MLflow's client from calling anybody but the server, and from writing into the home of who tests."""
REFUSED = error(401, "UNAUTHENTICATED")
METADATA = "/computeMetadata/v1/instance/service-accounts/default/"
SECRET = "projects/p/secrets/s"
ACCOUNT = "trainer@p.iam.gserviceaccount.com"


def _part(content: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


class Google:
    """The metadata server, the IAM Credentials API, an OAuth token endpoint and the Secret Manager, on one port.

    Its identity tokens are accepted for `life_s` seconds; they say that they expire `said_s` seconds from now.
    """

    def __init__(self, *, life_s: float = 3600, said_s: float = 3600) -> None:
        self.life_s, self.said_s = life_s, said_s
        self.issued: dict[str, float] = {}
        self.audiences: list[str] = []
        self.assertions: list[str] = []
        self.access_token = "machine-access-s3cret"
        self.api_key = "s3cret-of-the-secret-manager"
        self.failing: list[Reply] = []
        self._lock = threading.Lock()
        self.server = FakeMLflow()
        self.server.fault = self._reply

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which Google's clients find it."""
        return {
            "GCE_METADATA_HOST": self.server.url.removeprefix("http://"),
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_IAMCREDENTIALS": f"{self.server.url}/",
            "CLOUDSDK_API_ENDPOINT_OVERRIDES_SECRETMANAGER": f"{self.server.url}/",
        }

    def accepts(self, token: str) -> bool:
        """Whether a token was issued here and is not too old."""
        with self._lock:
            return time.monotonic() - self.issued.get(token, -1e9) < self.life_s

    def revoke(self) -> None:
        """Let no token that was issued until now be accepted."""
        with self._lock:
            self.issued = dict.fromkeys(self.issued, -1e9)

    def token(self, audience: str, **more: Any) -> str:
        """Issue an identity token, or sign an account's own, which says more."""
        with self._lock:
            claims = {"aud": audience, "exp": time.time() + self.said_s, "number": len(self.issued), **more}
            token = f"{_part({'alg': 'RS256'})}.{_part(claims)}.s3cret"
            self.issued[token] = time.monotonic()
            self.audiences.append(audience)
        return token

    def _reply(self, asked: Asked) -> Reply:
        if self.failing:
            return self.failing.pop()
        metadata = asked.path.removeprefix(METADATA) if asked.headers.get("metadata-flavor") == "Google" else ""
        if metadata == "identity" and asked.query["format"] == "full":
            return Reply(body=self.token(asked.query["audience"]).encode())
        if metadata in {"token", "email"}:
            return self._access() if metadata == "token" else Reply(body=ACCOUNT.encode())
        if asked.path == "/token":
            return self._exchanged(asked)
        if asked.headers.get("authorization") == f"Bearer {self.access_token}":
            return self._called(asked)
        return error(403, "PERMISSION_DENIED")

    def _access(self) -> Reply:
        return as_json({"access_token": self.access_token, "expires_in": 3599, "token_type": "Bearer"})

    def _called(self, asked: Asked) -> Reply:
        """Answer a method of an API, whose caller was recognised."""
        if asked.path == f"/v1/projects/-/serviceAccounts/{ACCOUNT}:generateIdToken":
            wrong = problems("iamcredentials.v1", "GenerateIdTokenRequest", asked.json)
            return error(400, str(wrong)) if wrong else as_json({"token": self.token(asked.json["audience"])})
        if asked.path == f"/v1/projects/-/serviceAccounts/{ACCOUNT}:signJwt":
            wrong = problems("iamcredentials.v1", "SignJwtRequest", asked.json)
            return error(400, str(wrong)) if wrong else self._signed(json.loads(asked.json["payload"]))
        if asked.path == f"/v1/{SECRET}/versions/latest:access":
            data = base64.b64encode(self.api_key.encode()).decode()
            return as_json({"name": f"{SECRET}/versions/1", "payload": {"data": data}})
        return error(404, "NOT_FOUND")

    def _signed(self, claims: dict[str, Any]) -> Reply:
        """Sign what an account says of itself, as IAP wants it: for an hour at most."""
        if claims["iss"] != claims["sub"] or claims["exp"] - claims["iat"] > 3600:
            return error(400, "INVALID_ARGUMENT")
        return as_json({"keyId": "k", "signedJwt": self.token(claims.pop("aud"), **claims)})

    def _exchanged(self, asked: Asked) -> Reply:
        """Give an identity token for an assertion that a service account's key signed (RFC 7523)."""
        fields = dict(item.split("=", 1) for item in asked.body.decode().split("&"))
        self.assertions.append(fields["assertion"])
        claims = json.loads(base64.urlsafe_b64decode(fields["assertion"].split(".")[1] + "=="))
        if "target_audience" in claims:
            return as_json({"id_token": self.token(claims["target_audience"])})
        return self._access()


class Guarded:
    """A tracking server that wants an API key, an identity token or both, and remembers whom it refused."""

    def __init__(self, *, google: Google | None = None, key: str = "", header: str = "authorization") -> None:
        self.google, self.key, self.header = google, key, header
        self.refused: list[Asked] = []
        self.server = FakeMLflow()
        self.server.fault = self._reply
        self.url = self.server.url

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()

    def _reply(self, asked: Asked) -> Reply | None:
        if asked.path.startswith("/refused/"):
            keys = [str(refused.json_or_nothing.get("key")) for refused in self.refused]
            return as_json({"refused": sum(key.startswith(asked.path.removeprefix("/refused/")) for key in keys)})
        token = asked.headers.get(self.header, "").removeprefix("Bearer ")
        right = not self.google or self.google.accepts(token)
        if self.key:
            right = right and asked.headers.get("authorization") == f"Bearer {self.key}"
        if right:
            return None
        self.refused.append(asked)
        return REFUSED
