"""The request filter on WSGI: Flask under gunicorn. A request's time-out is gunicorn's own `--timeout` there."""

from __future__ import annotations

import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from http.client import responses
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.access import clients
from mlflow_backend_server.http.bounds import BodyRefusedError, Bounds
from mlflow_backend_server.http.copies import GONE
from mlflow_backend_server.http.exchange import Answer, ClientGoneError, Request, with_prefix, without_prefix
from mlflow_backend_server.http.pieces import gathered, least_bytes
from mlflow_backend_server.http.record import CURRENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mlflow_backend_server.http.record import Exchange, Recorder
    from mlflow_backend_server.request_filter import Admission, RequestFilter

_DRAIN_S = 10.0
_DRAIN_BYTES = 1024**3
_PIECE = 65536
#: A body up to this came with its head, or comes within so many seconds.
_SMALL_BYTES, _SMALL_S = 65536, 2.0
_CREDENTIALS = ("HTTP_X_API_KEY", "HTTP_AUTHORIZATION")


class WsgiFilter:
    """A WSGI application around MLflow's."""

    def __init__(self, app: Any, request_filter: RequestFilter, recorder: Recorder) -> None:
        """Stand before `app`."""
        self._app, self._filter, self._recorder = app, request_filter, recorder
        self._prefix, self._proxies = request_filter.settings.path_prefix, request_filter.settings.trusted_proxies

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Serve one request."""
        request = _request(environ, self._prefix, self._proxies)
        if request.path != request.raw_path:
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(self._prefix) or "/"
        exchange = self._recorder.begin(request)
        environ["wsgi.url_scheme"] = request.scheme
        CURRENT.set(exchange)
        start = _Starting(start_response, exchange)
        try:
            verdict = self._filter.decide(exchange.request)
            if isinstance(verdict, Future):
                verdict = verdict.result()
            elif callable(verdict):
                verdict = verdict()
            body: Iterable[bytes]
            if isinstance(verdict, Answer):
                exchange.identity = verdict.identity
                body = self._answer(environ, start, verdict)
            else:
                exchange.admitted(verdict)
                body = self._serve(environ, start, verdict)
        except BaseException:
            exchange.status = exchange.status or 500
            self._recorder.end(exchange)
            raise
        return _Body(body, least_bytes(start.kind), exchange, self._recorder)

    def _serve(self, environ: dict[str, Any], start: _Starting, admission: Admission) -> Iterable[bytes]:
        if admission.hide_credentials:
            for name in _CREDENTIALS:
                environ.pop(name, None)
        bounds = Bounds(start.exchange.request, limit=admission.limit, space=self._filter.space)
        if (answer := bounds.before()) is not None:
            return self._answer(environ, start, answer)
        incoming = _Incoming(environ["wsgi.input"], start.exchange, bounds)
        environ["wsgi.input"] = incoming
        GONE.set(_leaving(environ.get("gunicorn.socket")))
        body: Iterable[bytes] = ()
        with suppress(BodyRefusedError):
            body = self._app(environ, start.hold)
        if incoming.refusal is not None:
            if hasattr(body, "close"):
                body.close()
            return self._answer(environ, start, incoming.refusal)
        start.release()
        return body

    def _answer(self, environ: dict[str, Any], start: _Starting, answer: Answer) -> list[bytes]:
        start.hold(f"{answer.status} {responses.get(answer.status, '')}", answer.all_headers())
        start.release()
        _drain(environ, start.exchange, answer)
        return [b"" if start.exchange.request.method == "HEAD" else answer.body]


class _Starting:
    """Holds the application's `start_response` back until it is known that its answer stands."""

    def __init__(self, start_response: Callable[..., Any], exchange: Exchange) -> None:
        self._start, self.exchange = start_response, exchange
        self._held: tuple[str, list[tuple[str, str]]] | None = None
        self.kind = ""

    def hold(self, status: str, headers: list[tuple[str, str]], _error: Any = None) -> Callable[[bytes], None]:
        """Take what the application says."""
        self._held = (status, headers)
        return _refuse_write

    def release(self) -> None:
        """Pass it on, with the request id."""
        if self._held is None:
            return
        status, headers = self._held
        self.exchange.status = int(status.split(" ", 1)[0])
        self.kind = next((value for name, value in headers if name.lower() == "content-type"), "")
        passed = [
            (name, with_prefix(value, self.exchange.request) if name.lower() == "location" else value)
            for name, value in headers
        ]
        self._start(status, [*passed, ("X-Request-Id", self.exchange.request_id)])


def _refuse_write(_piece: bytes) -> None:
    raise NotImplementedError("the old write() of WSGI, which Flask does not use")


class _Incoming:
    """Passes the body on, and stops the application once it is over the limit, or there is no room for it."""

    def __init__(self, stream: Any, exchange: Exchange, bounds: Bounds) -> None:
        self._stream, self._exchange, self._bounds = stream, exchange, bounds
        self.refusal: Answer | None = None

    def read(self, size: int = -1) -> bytes:
        """Read as the stream does."""
        piece = self._count(self._stream.read(size))
        if not piece and size:
            self._refuse_half()
        return piece

    def readline(self, size: int = -1) -> bytes:
        """Read a line as the stream does."""
        line = self._count(self._stream.readline(size))
        if not line and size:
            self._refuse_half()
        return line

    def readlines(self, _hint: int = -1) -> list[bytes]:
        """Read all lines."""
        return list(self)

    def __iter__(self) -> Iterator[bytes]:
        while line := self.readline():
            yield line

    def _refuse_half(self) -> None:
        # Gunicorn ends the body of a client that left as if it were whole, and MLflow would keep half an artifact.
        if self._exchange.received < self._exchange.request.length:
            raise ClientGoneError("the client went away before it had sent its body")

    def _count(self, piece: bytes) -> bytes:
        self._exchange.received += len(piece)
        self.refusal = self._bounds.at(self._exchange.received)
        if self.refusal is not None:
            raise BodyRefusedError
        return piece


class _Body:
    """The answer's body, gathered and counted; the exchange ends when the server closes it."""

    def __init__(self, body: Iterable[bytes], least: int, exchange: Exchange, recorder: Recorder) -> None:
        self._body, self._least, self._exchange, self._recorder = body, least, exchange, recorder

    def __iter__(self) -> Iterator[bytes]:
        for piece in gathered(self._body, self._least):
            self._exchange.sent += len(piece)
            yield piece

    def close(self) -> None:
        try:
            if hasattr(self._body, "close"):
                self._body.close()
        finally:
            self._recorder.end(self._exchange)


def _leaving(client: socket.socket | None) -> Callable[[], bool]:
    """Return the test of whether the client has closed its connection."""

    def gone() -> bool:
        if client is None:
            return False
        try:
            return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    return gone


def _drain(environ: dict[str, Any], exchange: Exchange, answer: Answer) -> None:
    """Throw away what a client still sends of a refused body, unless it waits for leave to send at all.

    A small body is read before the answer whatever that is: gunicorn closes a connection with an unread body without a
    word, and behind a balancer, which uses connections again, that costs somebody else's request.
    """
    request = exchange.request
    if request.headers.get("expect", "").lower() == "100-continue":
        return
    chunked = "chunked" in request.headers.get("transfer-encoding", "").lower()
    unread = _DRAIN_BYTES if chunked else request.length - exchange.received
    if answer.status in {413, 503}:
        _throw_away(environ, min(unread, _DRAIN_BYTES), seconds=_DRAIN_S)
    elif 0 < unread <= _SMALL_BYTES:
        _throw_away(environ, unread, seconds=_SMALL_S)


def _throw_away(environ: dict[str, Any], left: int, *, seconds: float) -> None:
    stream, client = environ["wsgi.input"], environ.get("gunicorn.socket")
    stream = getattr(stream, "_stream", stream)
    usual = client.gettimeout() if client is not None else None
    end = time.monotonic() + seconds
    with suppress(TimeoutError):
        while left > 0 and (wait := end - time.monotonic()) > 0:
            if client is not None:
                client.settimeout(wait)
            piece = stream.read(min(_PIECE, left))
            if not piece:
                break
            left -= len(piece)
    if client is not None:
        client.settimeout(usual)


def _request(environ: dict[str, Any], prefix: str, proxies: int) -> Request:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if environ.get("CONTENT_LENGTH"):
        headers["content-length"] = environ["CONTENT_LENGTH"]
    # WSGI gives the path as latin-1 whatever the client sent.
    path = environ.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")
    return Request(
        method=environ["REQUEST_METHOD"],
        path=without_prefix(path, prefix),
        raw_path=path,
        headers=headers,
        client=clients.address(environ.get("REMOTE_ADDR", ""), headers, proxies),
        scheme=clients.scheme(environ.get("wsgi.url_scheme", "http"), headers, proxies),
        query=environ.get("QUERY_STRING", ""),
    )


def refuse_underscores(message: Any) -> None:
    """Make gunicorn drop headers with an underscore, as its releases from 22 on do.

    It hands `X_API_KEY` on as `X-API-Key`, and lets `SCRIPT_NAME` move the path that the filter checks. `message` is
    the class that parses requests (gunicorn.http.message.Message).
    """
    parse = message.parse_headers

    def parse_headers(self: Any, *arguments: Any, **options: Any) -> list[tuple[str, str]]:
        return [header for header in parse(self, *arguments, **options) if "_" not in header[0]]

    message.parse_headers = parse_headers
