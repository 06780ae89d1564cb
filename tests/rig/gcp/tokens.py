"""Who somebody is on the rig: access tokens, identity tokens that the rig signs, and the keys of service accounts."""

from __future__ import annotations

import base64
import json
import secrets
import time
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.rig.gcp.discovery import Failed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ISSUER: Final = "https://accounts.google.com"
TOKEN_URI: Final = "https://oauth2.googleapis.com/token"
LIFETIME_S: Final = 3600


class Wrong(Exception):
    """A token that is not what it has to be; the text says why."""


class Tokens:
    """The tokens that were given out, and the keys that sign them. `administrator` may do everything."""

    def __init__(self, administrator: str) -> None:
        self.administrator = administrator
        self._google = _key()
        # The public half of each service account's own key, by its address.
        self._own: dict[str, rsa.RSAPrivateKey] = {}
        self._access: dict[str, tuple[str, float]] = {}

    def access(self, email: str) -> str:
        """Return a new access token."""
        token = f"ya29.{secrets.token_urlsafe(24)}"
        self._access[token] = (email, time.time() + LIFETIME_S)
        return token

    def caller(self, header: str) -> str:
        """Return whose access token an Authorization header has. Raises Failed."""
        email, until = self._access.get(header.removeprefix("Bearer "), ("", 0.0))
        if not email or time.time() > until:
            raise Failed(401, "Request had invalid authentication credentials. Expected OAuth 2 access token.")
        return email

    def basic(self, header: str) -> str:
        """Return whose access token the password of a login is, as registries take it. Raises Failed."""
        user, _, password = base64.b64decode(header.removeprefix("Basic ")).decode().partition(":")
        if user != "oauth2accesstoken":
            raise Failed(401, "the user of a login by access token is oauth2accesstoken")
        return self.caller(password)

    def identity(self, email: str, audience: str, *, lifetime_s: float = LIFETIME_S) -> str:
        """Return an identity token that Google signed."""
        now = int(time.time())
        claims = {"iss": ISSUER, "aud": audience, "email": email, "email_verified": True, "sub": email, "iat": now}
        return _signed(self._google, {**claims, "exp": int(now + lifetime_s)})

    def signed(self, email: str, claims: Mapping[str, Any]) -> str:
        """Return what a service account says, signed with its own key."""
        return _signed(self._own.setdefault(email, _key()), claims)

    def of_itself(self, email: str, audience: str, *, lifetime_s: float = LIFETIME_S) -> str:
        """Return the token by which a service account says who it is."""
        now = int(time.time())
        claims = {"iss": email, "sub": email, "aud": audience, "iat": now, "exp": int(now + lifetime_s)}
        return self.signed(email, claims)

    def claims(self, token: str, *, own: bool = False) -> dict[str, Any]:
        """Return what a token says, if Google signed it, or with `own` a service account for itself. Raises Wrong."""
        try:
            head, body, signature = token.split(".")
            claims: dict[str, Any] = json.loads(_decoded(body))
            json.loads(_decoded(head))
        except ValueError:
            raise Wrong("it is no identity token") from None
        issuer = claims.get("iss", "")
        key = self._google if issuer == ISSUER else self._own.get(issuer) if own else None
        if key is None:
            raise Wrong("nobody whom the rig knows signed it")
        try:
            key.public_key().verify(_decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Wrong("its signature is wrong") from None
        if time.time() > claims["exp"]:
            raise Wrong("it has expired")
        return {**claims, "email": claims.get("email", issuer)}

    def key_file(self, folder: Path, email: str, *, project: str) -> Path:
        """Write the key of a service account, as GOOGLE_APPLICATION_CREDENTIALS names one, and return its path."""
        key = self._own.setdefault(email, _key())
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path = folder / f"{email}.json"
        path.touch(0o600)
        document = {
            "type": "service_account", "project_id": project, "private_key_id": "rig", "private_key": private.decode(),
            "client_email": email, "client_id": "1", "token_uri": TOKEN_URI,
        }  # fmt: skip
        path.write_text(json.dumps(document))
        return path

    def exchange(self, form: Mapping[str, str]) -> dict[str, Any]:
        """Answer the token endpoint: an access token, or an identity token if an audience was named. Raises Failed."""
        if form.get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer":
            raise Failed(400, "unsupported_grant_type")
        try:
            claims = self.claims(form.get("assertion", ""), own=True)
        except Wrong as wrong:
            raise Failed(400, f"invalid_grant: {wrong}") from None
        if claims["aud"] != TOKEN_URI:
            raise Failed(400, "invalid_grant: the audience is not the token endpoint")
        if audience := claims.get("target_audience"):
            return {"id_token": self.identity(claims["email"], audience)}
        return {"access_token": self.access(claims["email"]), "expires_in": LIFETIME_S, "token_type": "Bearer"}


def unsigned(token: str) -> str:
    """Return a token as Cloud Run passes it on: without the signature, so that nobody can use it again."""
    return f"{token.rpartition('.')[0]}.SIGNATURE_REMOVED_BY_GOOGLE"


def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _signed(key: rsa.RSAPrivateKey, claims: Mapping[str, Any]) -> str:
    said = ".".join(_encoded(json.dumps(each).encode()) for each in ({"alg": "RS256", "typ": "JWT"}, claims))
    return f"{said}.{_encoded(key.sign(said.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
