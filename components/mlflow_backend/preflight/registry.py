"""Any registry that speaks the OCI distribution API: manifests and configurations, with or without a login."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode, urlsplit

import urllib3

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.preflight.manifests import ACCEPTED

_DEADLINE: Final = urllib3.Timeout(connect=5, read=15)
_TRIES: Final = urllib3.Retry(total=2, redirect=3, status_forcelist=(429, 502, 503, 504), backoff_factor=0.5)
_LARGEST: Final = 4 * 1024 * 1024
"""Bytes of a manifest or configuration; registries refuse larger manifests than this."""
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})


@dataclass(frozen=True, kw_only=True)
class Login:
    """A user of a registry. Neither value is ever shown."""

    user: str = field(repr=False)
    password: str = field(repr=False)

    def header(self) -> str:
        """Return the value of a Basic Authorization header."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return f"Basic {pair}"


@dataclass(frozen=True, kw_only=True)
class _Answer:
    status: int
    challenge: str
    body: bytes


class Registry:
    """One repository of one registry (manifests.Source)."""

    def __init__(self, host: str, repository: str, login: Login | None = None) -> None:
        """Take the registry's address; nothing is asked yet. Plain HTTP is spoken with this machine only."""
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        scheme = "http" if name in _LOOPBACK else "https"
        self._root = f"{scheme}://{host}/v2/{repository}"
        self._host, self._login = host, login
        self._pool = urllib3.PoolManager(timeout=_DEADLINE, retries=_TRIES)
        self._token: str | None = None

    def manifest(self, asked: str) -> bytes:
        """Return a manifest."""
        return self._get(f"{self._root}/manifests/{asked}", accept=", ".join(ACCEPTED))

    def blob(self, digest: str) -> bytes:
        """Return a blob."""
        return self._get(f"{self._root}/blobs/{digest}", accept="*/*")

    def _get(self, url: str, *, accept: str) -> bytes:
        response = self._ask(url, accept)
        if response.status == HTTPStatus.UNAUTHORIZED and self._token is None:
            self._token = self._authorize(response.challenge)
            response = self._ask(url, accept)
        if response.status == HTTPStatus.OK:
            return response.body
        if response.status == HTTPStatus.NOT_FOUND:
            raise PlatformFailed(f"{self._host} has no such image", code="image-missing")
        if response.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            raise PlatformFailed(f"{self._host} answered {response.status}", code="registry-denied")
        raise PlatformFailed(f"{self._host} answered {response.status}", code="registry-failed")

    def _ask(self, url: str, accept: str) -> _Answer:
        headers = {"Accept": accept}
        if self._token:
            headers["Authorization"] = self._token
        try:
            response = self._pool.request("GET", url, headers=headers, preload_content=False)
            # Read with a bound: what claims to be a manifest may be anything.
            body = response.read(_LARGEST + 1)
            response.release_conn()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise PlatformFailed(
                f"{self._host} cannot be reached ({type(error).__name__})", code="registry-unreachable"
            ) from None
        if len(body) > _LARGEST:
            raise PlatformFailed(
                f"{self._host} gave more than {_LARGEST} bytes for a manifest",
                code="image-manifest-too-large",
            )
        return _Answer(status=response.status, challenge=response.headers.get("WWW-Authenticate", ""), body=body)

    def _authorize(self, challenge: str) -> str:
        """Return the Authorization header that the registry's challenge asks for (distribution API, 'token')."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._login is not None:
            return self._login.header()
        asked = dict(_CHALLENGE.findall(rest))
        realm = asked.get("realm", "")
        if scheme.lower() != "bearer" or urlsplit(realm).scheme not in {"http", "https"}:
            raise PlatformFailed(f"{self._host} wants a login", code="registry-wants-login")
        query = urlencode({key: asked[key] for key in ("service", "scope") if key in asked})
        headers = {"Authorization": self._login.header()} if self._login else {}
        try:
            response = self._pool.request("GET", f"{realm}?{query}", headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise PlatformFailed(
                f"{self._host}'s login cannot be reached ({type(error).__name__})", code="registry-login-unreachable"
            ) from None
        if response.status != HTTPStatus.OK:
            raise PlatformFailed(f"{self._host} refused the login ({response.status})", code="registry-refused-login")
        return f"Bearer {_token(response.data)}"


def _token(body: bytes) -> str:
    try:
        answer = json.loads(body)
        return str(answer.get("token") or answer["access_token"])
    except (ValueError, KeyError, AttributeError):
        raise PlatformFailed("the registry's login gave no token", code="registry-login-without-token") from None
