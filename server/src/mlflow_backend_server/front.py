"""What happens to a request before MLflow sees it: health routes answered, credentials and sizes judged.

The same for both stacks. Nothing here blocks except what `judge` returns as a function: the ASGI side runs that in a
thread.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mlflow_backend_server.access import keys
from mlflow_backend_server.access.scopes import allows
from mlflow_backend_server.health.identity import OBJECT
from mlflow_backend_server.health.states import Away, report
from mlflow_backend_server.http.exchange import ALIVE, UNAUTHENTICATED, Answer, Asked, body_limit, refusal, too_large
from mlflow_backend_server.settings import Access, Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend_server.access.limits import RateLimit
    from mlflow_backend_server.access.sources import KeyRing
    from mlflow_backend_server.health.board import Board
    from mlflow_backend_server.health.identity import Identities
    from mlflow_backend_server.health.readiness import Readiness

HEALTH, COMPONENTS, READY, IDENTITY = "/health", "/health/components", "/health/ready", "/health/identity"


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The request goes on to MLflow: as whom, with which limit on its body, with or without its credentials."""

    identity: str = ""
    limit: int = 0
    hide_credentials: bool = False


@dataclass(frozen=True, kw_only=True)
class BasicAuth:
    """MLflow's basic auth as the front needs it: who is valid, which paths are open, and whether MLflow asks itself."""

    valid: Callable[[str, str], bool]
    unprotected: Callable[[str], bool]
    guards_every_route: bool


Verdict = Answer | Admission


@dataclass(frozen=True, kw_only=True)
class Front:
    """All that judges a request."""

    settings: Settings
    board: Board
    readiness: Readiness
    identities: Identities
    ring: KeyRing | None = None
    rate: RateLimit | None = None
    basic: BasicAuth | None = None

    def judge(self, asked: Asked) -> Verdict | Callable[[], Verdict]:
        """Return an answer, an admission, or a function that gives one of them and may block."""
        if asked.path == HEALTH and asked.method in {"GET", "HEAD"}:
            return ALIVE
        own = {COMPONENTS: self._components, READY: self._ready, IDENTITY: self._identity}.get(asked.path)
        if own is not None:
            return lambda: own(asked)
        if OBJECT in asked.path or OBJECT in unquote(asked.query):
            return refusal(403, "PERMISSION_DENIED", f"{OBJECT} is the store's identity, and no artifact.")
        limit = body_limit(
            asked, request_bytes=self.settings.max_request_bytes, artifact_bytes=self.settings.max_artifact_bytes
        )
        if self.settings.access is Access.TOKEN and asked.path != HEALTH:
            return self._by_key(asked, limit)
        if self.basic is not None and not self.basic.guards_every_route and not self.basic.unprotected(asked.path):
            return lambda: self._by_password(asked, limit)
        return _within(asked, Admission(limit=limit))

    def _by_key(self, asked: Asked, limit: int) -> Verdict | Callable[[], Verdict]:
        key = self._key(asked)
        if key is None:
            return UNAUTHENTICATED
        if not allows(key.scope, asked.method, asked.path):
            return refusal(403, "PERMISSION_DENIED", f"The API key '{key.name}' may only read.")
        admission = Admission(identity=key.name, limit=limit, hide_credentials=True)
        if self.rate is None:
            return _within(asked, admission)
        rate = self.rate

        def limited() -> Verdict:
            if seconds := rate.seconds_to_wait(key.name):
                message = f"The API key '{key.name}' has made its requests of this minute."
                return refusal(429, "REQUEST_LIMIT_EXCEEDED", message, ("retry-after", str(seconds)))
            return _within(asked, admission)

        return limited

    def _by_password(self, asked: Asked, limit: int) -> Verdict:
        if self._password_valid(asked):
            return _within(asked, Admission(limit=limit))
        message = "You are not authenticated."
        return refusal(401, "UNAUTHENTICATED", message, ("www-authenticate", 'Basic realm="mlflow"'))

    def _components(self, asked: Asked) -> Answer:
        findings, ok = self.board.look()
        document = report(findings, ok=ok) if self._trusted(asked) else {"status": "ok" if ok else "degraded"}
        return Answer(status=200 if ok else 503, document=document)

    def _ready(self, asked: Asked) -> Answer:
        problem = self.readiness.problem()
        document = {"status": "ready" if problem is None else "unready"}
        if problem is not None and self._trusted(asked):
            document["detail"] = problem
        return Answer(status=200 if problem is None else 503, document=document)

    def _identity(self, asked: Asked) -> Answer:
        if not self._trusted(asked):
            return refusal(401, "UNAUTHENTICATED", "Only those who may call this server may know its identity.")
        try:
            return Answer(status=200, document=self.identities.document())
        except Away as away:
            return Answer(status=503, document={"detail": str(away)})

    def _trusted(self, asked: Asked) -> bool:
        if self.settings.access is Access.TOKEN:
            return self._key(asked) is not None
        if self.settings.access is Access.BASIC:
            return self._password_valid(asked)
        return True

    def _key(self, asked: Asked) -> keys.StoredKey | None:
        return keys.match(keys.presented(asked.headers), self.ring.keys()) if self.ring else None

    def _password_valid(self, asked: Asked) -> bool:
        credentials = basic_credentials(asked.headers.get("authorization", ""))
        return self.basic is not None and credentials is not None and self.basic.valid(*credentials)


def basic_credentials(header: str) -> tuple[str, str] | None:
    """Return user and password of an `Authorization: Basic` header, None for any other."""
    scheme, _, encoded = header.strip().partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


def _within(asked: Asked, admission: Admission) -> Verdict:
    """Return the admission, or the 413 where the announced length is over its limit."""
    if admission.limit and asked.length > admission.limit:
        return too_large(admission.limit, artifact=asked.uploads_artifact)
    return admission
