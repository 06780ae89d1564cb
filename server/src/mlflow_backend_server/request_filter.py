"""The filter of requests to MLflow's application: it answers health routes, checks credentials, permissions and sizes.

The same for both stacks. Nothing here blocks except what `decide` returns as a function, which the ASGI side runs in a
thread, or as a future.
"""

from __future__ import annotations

import hmac
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mlflow_backend_server.access import credentials, keys, locations
from mlflow_backend_server.access.clients import forwarded
from mlflow_backend_server.access.passwords import LoginCheck, Result
from mlflow_backend_server.access.routes import NOWHERE, Guard, Route
from mlflow_backend_server.access.scopes import allows
from mlflow_backend_server.health.identity import OBJECT
from mlflow_backend_server.health.states import Away, report
from mlflow_backend_server.http import exchange
from mlflow_backend_server.http.exchange import Answer, Request, body_limit, refusal, too_large
from mlflow_backend_server.settings import Access, Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from mlflow_backend_server.access.credentials import Login
    from mlflow_backend_server.access.keys import Scope, StoredKey
    from mlflow_backend_server.access.limits import RateLimit
    from mlflow_backend_server.access.passwords import Passwords
    from mlflow_backend_server.access.sources import KeyRing
    from mlflow_backend_server.health.board import Board
    from mlflow_backend_server.health.identity import Identities
    from mlflow_backend_server.health.readiness import Readiness
    from mlflow_backend_server.temporary import Space

HEALTH, COMPONENTS, READY, IDENTITY = "/health", "/health/components", "/health/ready", "/health/identity"
OWN = frozenset({HEALTH, COMPONENTS, READY, IDENTITY})
_READING = frozenset({"GET", "HEAD"})
_GATEWAY = "/gateway/"
#: How long a health route waits for a password: details are for whoever has one, and the state is for everybody.
_DETAILS_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Admission:
    """The request goes on to MLflow: as whom, with which limit on its body, with or without its credentials.

    `key_scope` is that of its API key; `administrator` says that a user of basic auth is one.
    """

    identity: str = ""
    limit: int = 0
    hide_credentials: bool = False
    route: Route = NOWHERE
    key_scope: Scope | None = None
    administrator: bool = False


Verdict = Answer | Admission


@dataclass(frozen=True, kw_only=True)
class Users:
    """MLflow's basic auth as the request filter needs it.

    `job_token` is the password of MLflow's own jobs on the gateway, in the name of the user who submitted them; MLflow
    checks it.
    """

    passwords: Passwords
    job_token: str = ""

    def administers(self, name: str) -> bool:
        """Return whether a user is an administrator; raises what MLflow raises if the users cannot be looked up."""
        return bool(getattr(self.passwords.user(name), "is_admin", False))


def nowhere(_method: str, _path: str) -> Route:
    """Know no route."""
    return NOWHERE


@dataclass(frozen=True, kw_only=True)
class RequestFilter:
    """All that decides on a request; `route` finds what the table of routes says of one."""

    settings: Settings
    board: Board
    readiness: Readiness
    identities: Identities
    ring: KeyRing | None = None
    rate: RateLimit | None = None
    users: Users | None = None
    route: Callable[[str, str], Route] = nowhere
    foreign: Callable[[Request], bool] = lambda _request: False
    space: Space | None = None

    def decide(self, request: Request) -> Verdict | Callable[[], Verdict] | Future[Verdict]:
        """Return an answer, an admission, or what gives one of them and may block."""
        if request.raw_path == self.settings.path_prefix != "":
            # The page names what it loads relative to itself.
            return Answer(status=308, document={}, headers=(("location", f"{request.raw_path}/"),))
        if request.path in OWN:
            return self._health(request)
        if refused := _no_artifact(request):
            return refused
        limit = body_limit(
            request, request_bytes=self.settings.max_request_bytes, artifact_bytes=self.settings.max_artifact_bytes
        )
        admission = Admission(limit=limit, route=self.route(request.method, request.path))
        if self.settings.access is Access.TOKEN:
            return self._by_key(request, admission)
        if self.users is not None and admission.route.guard is not Guard.OPEN:
            return self._by_password(request, admission)
        return self._let_in(request, admission)

    def _health(self, request: Request) -> Verdict | Callable[[], Verdict]:
        if request.method not in _READING:
            return exchange.NO_SUCH_METHOD
        if request.path == HEALTH:
            return exchange.ALIVE
        answer = {COMPONENTS: self._components, READY: self._ready, IDENTITY: self._identity}[request.path]
        return lambda: answer(request)

    def _by_key(self, request: Request, admission: Admission) -> Verdict | Callable[[], Verdict]:
        shown = keys.presented(request.headers)
        key = self._key(request)
        if key is None or key.expired():
            return replace(exchange.UNAUTHENTICATED, identity=key.name if key else keys.mark(shown))
        admission = replace(admission, identity=key.name, hide_credentials=True, key_scope=key.scope)
        if not allows(key.scope, admission.route.scope):
            needed = admission.route.scope
            may = "may only read" if key.scope is keys.Scope.READ else f"lacks the scope '{needed}'"
            return _as(key.name, refusal(403, "PERMISSION_DENIED", f"The API key '{key.name}' {may}."))
        if self.rate is None:
            return self._let_in(request, admission)
        rate = self.rate

        def limited() -> Verdict:
            if seconds := rate.seconds_to_wait(key.name):
                message = f"The API key '{key.name}' has made its requests of this minute."
                again = ("retry-after", str(seconds))
                return _as(key.name, refusal(429, "REQUEST_LIMIT_EXCEEDED", message, again))
            return self._let_in(request, admission)

        return limited

    def _by_password(self, request: Request, admission: Admission) -> Verdict | Callable[[], Verdict] | Future[Verdict]:
        login = credentials.presented(request.headers, request.path)
        if login is None:
            return exchange.NO_LOGIN
        assert self.users is not None  # noqa: S101 - seen by the caller
        token = self.users.job_token
        if token and request.path.startswith(_GATEWAY) and hmac.compare_digest(login.password.encode(), token.encode()):
            return self._let_in(request, replace(admission, identity=login.name))
        checked = self.users.passwords.check(login, request.client)
        if not isinstance(checked, Future):
            if checked.result is not Result.RIGHT or self.users.passwords.remembers(login.name):
                return self._after_password(request, login, admission, checked)
            return lambda: self._after_password(request, login, admission, checked)
        found: Future[Verdict] = Future()
        # From now on nobody can cancel it under the hands of the thread that hashes.
        found.set_running_or_notify_cancel()

        def done(hashed: Future[LoginCheck]) -> None:
            try:
                found.set_result(self._after_password(request, login, admission, hashed.result()))
            except BaseException as error:  # noqa: BLE001 - whoever waits for the verdict gets it
                found.set_exception(error)

        checked.add_done_callback(done)
        return found

    def _after_password(self, request: Request, login: Login, admission: Admission, checked: LoginCheck) -> Verdict:
        if checked.result is Result.WRONG:
            return _as(login.name, exchange.NO_LOGIN)
        if checked.result is Result.LIMITED:
            message = "Too many wrong passwords. Try again later."
            again = ("retry-after", str(checked.wait_s))
            return _as(login.name, refusal(429, "REQUEST_LIMIT_EXCEEDED", message, again))
        assert self.users is not None  # noqa: S101 - it checked the password
        try:
            administers = checked.result is Result.RIGHT and self.users.administers(login.name)
        except Exception:  # noqa: BLE001 - whatever the database says, its words are not for the caller
            checked = LoginCheck(result=Result.UNKNOWN)
        if checked.result is Result.UNKNOWN:
            message = "The users cannot be looked up. Try again later."
            return _as(login.name, refusal(503, "TEMPORARILY_UNAVAILABLE", message, ("retry-after", "1")))
        if admission.route.guard is Guard.ADMIN and not administers:
            message = "Permission denied: this route is an administrator's."
            return _as(login.name, refusal(403, "PERMISSION_DENIED", message))
        return self._let_in(request, replace(admission, identity=login.name, administrator=administers))

    def _let_in(self, request: Request, admission: Admission) -> Verdict:
        """Return the admission, unless nobody may make this request, or not with so long a body."""
        if admission.route.guard is Guard.CLOSED:
            return _as(admission.identity, exchange.NO_STORE_ADDRESSES)
        if self.foreign(request):
            message = "Cross-origin request blocked"
            return _as(admission.identity, refusal(403, "PERMISSION_DENIED", message))
        if admission.limit and request.length > admission.limit:
            return _as(admission.identity, too_large(admission.limit, artifact=request.uploads_artifact))
        return admission

    def _components(self, request: Request) -> Answer:
        findings, ok = self.board.look()
        document: dict[str, Any] = {"status": "ok" if ok else "degraded"}
        if self._trusted(request):
            document = report(findings, ok=ok) | {"request": self._seen(request)}
        return Answer(status=200 if ok else 503, document=document)

    def _seen(self, request: Request) -> dict[str, Any]:
        """Return how this request looks from here: what the proxies in front make of a caller."""
        return {
            "host": request.headers.get("host", ""),
            "scheme": request.scheme,
            "client": request.client,
            "forwarded": forwarded(request.headers, self.settings.trusted_proxies),
            "proxies": self.settings.trusted_proxies,
        }

    def _ready(self, request: Request) -> Answer:
        problem = self.readiness.problem()
        document = {"status": "ready" if problem is None else "unready"}
        if problem is not None and self._trusted(request):
            document["detail"] = problem
        return Answer(status=200 if problem is None else 503, document=document)

    def _identity(self, request: Request) -> Answer:
        if not self._trusted(request):
            return refusal(401, "UNAUTHENTICATED", "Only those who may call this server may know its identity.")
        try:
            return Answer(status=200, document=self.identities.document())
        except Away as away:
            return Answer(status=503, document={"detail": str(away)})

    def _trusted(self, request: Request) -> bool:
        if self.settings.access is Access.TOKEN:
            key = self._key(request)
            return key is not None and not key.expired()
        if self.users is not None:
            login = credentials.presented(request.headers, request.path)
            return login is not None and self.users.passwords.within(login, request.client, most_s=_DETAILS_S)
        return self.settings.access is Access.NONE

    def _key(self, request: Request) -> StoredKey | None:
        return keys.match(keys.presented(request.headers), self.ring.keys()) if self.ring else None


def _no_artifact(request: Request) -> Answer | None:
    """Return the refusal of a request that names what is no artifact in the store."""
    if OBJECT in request.path or OBJECT in unquote(request.query):
        return refusal(403, "PERMISSION_DENIED", f"{OBJECT} is the store's identity, and no artifact.")
    if problem := locations.path_problem(request.path, request.query):
        return refusal(400, "INVALID_PARAMETER_VALUE", f"The artifact's path {problem}.")
    return None


def _as(identity: str, answer: Answer) -> Answer:
    return replace(answer, identity=identity)
