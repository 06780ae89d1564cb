"""The request filter around an application that records what reaches it, on ASGI and on WSGI."""

from __future__ import annotations

import asyncio
import io
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from mlflow_backend_server.access.keys import Scope, mint
from mlflow_backend_server.access.passwords import Passwords
from mlflow_backend_server.access.routes import Guard, Route
from mlflow_backend_server.access.sources import KeyRing
from mlflow_backend_server.health.board import Board
from mlflow_backend_server.health.readiness import Readiness
from mlflow_backend_server.health.states import Away, Component
from mlflow_backend_server.http.asgi import AsgiFilter
from mlflow_backend_server.http.record import Recorder
from mlflow_backend_server.http.wsgi import WsgiFilter
from mlflow_backend_server.request_filter import RequestFilter, Users
from mlflow_backend_server.settings import (
    Access,
    Settings,
)

from tests.server.logins import Store

if TYPE_CHECKING:
    from collections.abc import Iterable


SECRET = "very-s3cret-detail"

READER, READER_ENTRY = mint("reader", Scope.READ)

WRITER, WRITER_ENTRY = mint("writer", Scope.WRITE)

ADMIN, ADMIN_ENTRY = mint("admin", Scope.ADMIN)

EXPIRED, EXPIRED_ENTRY = mint("expired", Scope.ADMIN, days=1)
EXPIRED_ENTRY["expires"] = "2020-01-01T00:00:00+00:00"

# Read once, at import: the tests may run an hour later, when what was read would be too old.
RING = KeyRing(
    lambda: json.dumps({"keys": [READER_ENTRY, WRITER_ENTRY, ADMIN_ENTRY, EXPIRED_ENTRY]}), clock=lambda: 0.0
)


@dataclass
class Answered:
    """What came out."""

    status: int
    headers: dict[str, str]
    body: bytes
    seen: list[dict[str, str]]
    log: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


def route_of(method: str, path: str) -> Route:
    """What a table says of the tests' routes."""
    if path.startswith("/static-files/"):
        return Route(template=path, guard=Guard.OPEN, scope=Scope.READ)
    if path == "/v1/traces":
        return Route(template=path, native=True, guard=Guard.ADMIN, scope=Scope.WRITE)
    if "/mpu/" in path:
        return Route(template=path, guard=Guard.CLOSED, scope=Scope.WRITE)
    if "/webhooks" in path:
        return Route(template=path, guard=Guard.MLFLOW, scope=Scope.ADMIN)
    reads = method in {"GET", "HEAD"} or path.endswith("/search")
    return Route(template=path, guard=Guard.MLFLOW, scope=Scope.READ if reads else Scope.WRITE)


def away() -> str:
    """Fail with a detail that nobody without credentials may see."""
    raise Away(SECRET)


class Untold:
    """Identities that fail with a detail that nobody without credentials may see."""

    def document(self) -> dict[str, Any]:
        """Fail."""
        raise Away(SECRET)


def filter_of(settings: Settings, *, broken: bool = True) -> RequestFilter:
    """A request filter whose only component is broken or fine."""
    part = Component(name="database", ask=away if broken else lambda: "fine")
    users = Users(passwords=Passwords(Store(), seconds=30, most_waiting=4))
    return RequestFilter(
        settings=settings,
        board=Board((part,)),
        readiness=Readiness(()),
        identities=Untold(),  # type: ignore[arg-type]
        ring=RING if settings.access is Access.TOKEN else None,
        users=users if settings.access is Access.BASIC else None,
        route=route_of,
    )


def through_asgi(
    request_filter: RequestFilter, method: str, path: str, headers: dict[str, str], body: bytes
) -> Answered:
    """Send one request through the ASGI side, around an application that reads all and says ok."""
    seen: list[dict[str, str]] = []
    lines: list[bytes] = []
    sent: list[Any] = []

    paths: list[str] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        paths.append(scope["path"])
        seen.append({name.decode(): value.decode("latin-1") for name, value in scope["headers"]})
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    pieces = [body[start : start + 10] for start in range(0, len(body), 10)] or [b""]
    incoming = [
        {"type": "http.request", "body": piece, "more_body": place < len(pieces) - 1}
        for place, piece in enumerate(pieces)
    ]

    async def receive() -> Any:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    recorder = Recorder(template=lambda _, path, __: path, metrics=None, log=True, write=lines.append)
    raw = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "client": ("1.2.3.4", 5)}
    scope["query_string"] = query.encode()
    asyncio.run(AsgiFilter(application, request_filter, recorder)(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return Answered(
        status=sent[0]["status"],
        headers={name.decode(): value.decode() for name, value in sent[0]["headers"]},
        body=sent[1]["body"],
        seen=seen,
        log=[json.loads(line) for line in lines],
        paths=paths,
    )


def through_wsgi(
    request_filter: RequestFilter, method: str, path: str, headers: dict[str, str], body: bytes
) -> Answered:
    """Send one request through the WSGI side, around an application that reads all and says ok."""
    seen: list[dict[str, str]] = []
    lines: list[bytes] = []
    started: list[Any] = []

    paths: list[str] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        paths.append(environ["PATH_INFO"])
        seen.append(
            {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        )
        while environ["wsgi.input"].read(10):
            pass
        start_response("200 OK", [])
        return [b"ok"]

    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    if length := environ.pop("HTTP_CONTENT_LENGTH", None):
        environ["CONTENT_LENGTH"] = length
    path, _, environ["QUERY_STRING"] = path.partition("?")
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path.encode().decode("latin-1"), "REMOTE_ADDR": "1.2.3.4"}
    recorder = Recorder(template=lambda _, path, __: path, metrics=None, log=True, write=lines.append)
    answer: Any = WsgiFilter(application, request_filter, recorder)(
        {**environ, "wsgi.input": io.BytesIO(body)}, lambda *said: started.append(said)
    )
    content = b"".join(answer)
    answer.close()
    return Answered(
        status=int(started[0][0].split()[0]),
        headers={name.lower(): value for name, value in started[0][1]},
        body=content,
        seen=seen,
        log=[json.loads(line) for line in lines],
        paths=paths,
    )


STACKS = pytest.mark.parametrize("through", [through_asgi, through_wsgi], ids=["asgi", "wsgi"])
