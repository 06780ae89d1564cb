"""The request filter on ASGI: FastAPI under uvicorn."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.access import clients
from mlflow_backend_server.http.bounds import BodyRefusedError, Bounds
from mlflow_backend_server.http.exchange import (
    REQUEST_ID,
    TIMED_OUT,
    Answer,
    ClientGoneError,
    Request,
    with_prefix,
    without_prefix,
)
from mlflow_backend_server.http.record import CURRENT
from mlflow_backend_server.http.routes import OWN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from mlflow_backend_server.http.record import Exchange, Recorder
    from mlflow_backend_server.request_filter import Admission, RequestFilter

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

# A client that gets 413 while it still sends would see a broken connection instead, so its body is read and thrown
# away: for so long, and so many bytes.
_DRAIN_S = 10.0
_DRAIN_BYTES = 1024**3
#: What a process may still do after its grace period: closing answers, deleting files.
_LAST_S = 5.0
#: Threads that answer health routes and nothing else, and threads that check callers. The loop's own pool serves
#: neither: MLflow copies artifacts in it, for as long as those take.
_HEALTH_THREADS, _JUDGING_THREADS = 4, 8
_CREDENTIALS = frozenset({b"x-api-key", b"authorization"})
_CREDENTIAL_NAMES = frozenset(name.decode() for name in _CREDENTIALS)


class AsgiFilter:
    """An ASGI application around MLflow's."""

    def __init__(self, app: Any, request_filter: RequestFilter, recorder: Recorder) -> None:
        """Stand before `app`."""
        self._app, self._filter, self._recorder = app, request_filter, recorder
        self._prefix, self._proxies = request_filter.settings.path_prefix, request_filter.settings.trusted_proxies
        self._timeout = request_filter.settings.request_timeout_s or None
        self._health = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
        self._judging = ThreadPoolExecutor(_JUDGING_THREADS, thread_name_prefix="judging")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "websocket":
            # MLflow has none; refused here, because keys are checked for HTTP only.
            await send({"type": "websocket.close", "code": 1000})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, _ends_in_time(send))
            return
        # WSGI, and so Flask, would take an underscore for a hyphen: no proxy checks such a header, and nobody needs it.
        scope["headers"] = [header for header in scope["headers"] if b"_" not in header[0]]
        request = _request(scope, self._prefix, self._proxies)
        scope["scheme"] = request.scheme
        if request.path != request.raw_path:
            raw = scope.get("raw_path", b"").removeprefix(self._prefix.encode())
            scope = {**scope, "path": request.path, "raw_path": raw or b"/"}
        exchange = self._recorder.begin(request)
        CURRENT.set(exchange)
        outgoing = _Outgoing(send, exchange, self._timeout)
        try:
            verdict = self._filter.decide(request)
            if isinstance(verdict, Future):
                verdict = await asyncio.wrap_future(verdict)
            elif callable(verdict):
                verdict = await asyncio.get_running_loop().run_in_executor(self._pool(request), verdict)
            if isinstance(verdict, Answer):
                exchange.identity = verdict.identity
                await outgoing.answer(verdict, receive)
            else:
                exchange.admitted(verdict)
                with suppress(ClientGoneError):
                    await self._serve(scope, receive, outgoing, verdict)
        finally:
            self._recorder.end(exchange)

    def _pool(self, request: Request) -> ThreadPoolExecutor:
        """Return the threads that a verdict may block: a caller's password must never take those of a probe."""
        probe = request.path in OWN and not _CREDENTIAL_NAMES & request.headers.keys()
        return self._health if probe else self._judging

    async def _serve(
        self, scope: MutableMapping[str, Any], receive: Receive, outgoing: _Outgoing, admission: Admission
    ) -> None:
        if admission.hide_credentials:
            # MLflow's gateway forwards some headers to model providers.
            scope["headers"] = [header for header in scope["headers"] if header[0].lower() not in _CREDENTIALS]
        bounds = Bounds(outgoing.exchange.request, limit=admission.limit, space=self._filter.space)
        if (refusal := bounds.before()) is not None:
            await outgoing.answer(refusal, receive)
            return
        incoming = _Incoming(receive, outgoing, bounds)
        try:
            await self._in_time(self._app(scope, incoming.receive, outgoing.send), outgoing, receive)
        except Exception:
            if incoming.refusal is None:
                raise
        # FastAPI leaves its route here when it served the request itself.
        outgoing.exchange.native_route = getattr(scope.get("route"), "path", "")
        if incoming.refusal is not None and not outgoing.started:
            await outgoing.answer(incoming.refusal, receive)

    async def _in_time(self, work: Any, outgoing: _Outgoing, receive: Receive) -> None:
        """Run MLflow's application; if it has not begun to answer in time, answer 504 for it."""
        if self._timeout is None:
            await work
            return
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task}, timeout=self._timeout)
            if task.done() or outgoing.started:
                await task
                return
        except asyncio.CancelledError:
            task.cancel()
            raise
        # A handler in a thread cannot be stopped; it runs to its end, and what it says then is dropped.
        task.add_done_callback(_retrieve)
        await outgoing.answer(TIMED_OUT, receive)


class _Outgoing:
    """Passes the application's answer on, with the request id in it, and counts."""

    def __init__(self, send: Send, exchange: Exchange, timeout: float | None) -> None:
        self._send, self._timeout = send, timeout
        self.exchange, self.started, self.muted = exchange, False, False

    async def send(self, message: Message) -> None:
        """Pass on one message of the application, unless it was answered for."""
        if not self.muted:
            await self._emit(message)

    async def answer(self, answer: Answer, receive: Receive) -> None:
        """Send an answer of ours, and from now on nothing of the application's."""
        self.muted = True
        headers = [(name.encode(), value.encode()) for name, value in answer.all_headers()]
        await self._emit({"type": "http.response.start", "status": answer.status, "headers": headers})
        # Before the last byte: uvicorn closes the connection after it.
        await _drain(self.exchange.request, answer, receive)
        body = b"" if self.exchange.request.method == "HEAD" else answer.body
        await self._emit({"type": "http.response.body", "body": body})

    async def _emit(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.exchange.status = message["status"]
            headers = [
                (name, with_prefix(value.decode("latin-1"), self.exchange.request).encode("latin-1"))
                if name.lower() == b"location"
                else (name, value)
                for name, value in message.get("headers", ())
            ]
            headers.append((REQUEST_ID.encode(), self.exchange.request_id.encode()))
            message = {**message, "headers": headers}
        else:
            self.exchange.sent += len(message.get("body", b""))
        try:
            async with asyncio.timeout(self._timeout):
                await self._send(message)
        except TimeoutError:
            raise ClientGoneError("the client took nothing of its answer for the request time-out") from None


class _Incoming:
    """Passes the body on, and stops the application once it is over the limit, or there is no room for it."""

    def __init__(self, receive: Receive, outgoing: _Outgoing, bounds: Bounds) -> None:
        self._receive, self._outgoing, self._bounds = receive, outgoing, bounds
        self.refusal: Answer | None = None

    async def receive(self) -> Message:
        """Pass on one message of the client."""
        message = await self._receive()
        if message["type"] == "http.request":
            exchange = self._outgoing.exchange
            exchange.received += len(message.get("body", b""))
            self.refusal = self._bounds.at(exchange.received)
            if self.refusal is not None:
                # What the application says about being stopped is not the answer.
                self._outgoing.muted = True
                raise BodyRefusedError
        return message


async def _drain(request: Request, answer: Answer, receive: Receive) -> None:
    """Throw away what a client still sends after a refused body, unless it waits for leave to send at all."""
    if answer.status not in {413, 503} or request.headers.get("expect", "").lower() == "100-continue":
        return
    end, count = time.monotonic() + _DRAIN_S, 0
    while count < _DRAIN_BYTES and (left := end - time.monotonic()) > 0:
        try:
            message = await asyncio.wait_for(receive(), left)
        except TimeoutError:
            return
        count += len(message.get("body", b""))
        if message["type"] != "http.request" or not message.get("more_body", False):
            return


def _request(scope: MutableMapping[str, Any], prefix: str, proxies: int) -> Request:
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        # As WSGI has it; of credentials that come twice none is valid.
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    client = scope.get("client")
    return Request(
        method=scope["method"],
        path=without_prefix(scope["path"], prefix),
        raw_path=scope["path"],
        headers=headers,
        client=clients.address(client[0] if client else "", headers, proxies),
        scheme=clients.scheme(scope.get("scheme", "http"), headers, proxies),
        query=scope.get("query_string", b"").decode("latin-1"),
    )


def _ends_in_time(send: Send) -> Send:
    """Return `send` of a lifespan, after whose end the process ends too: a hung thread would hold it for ever."""

    async def sending(message: Message) -> None:
        await send(message)
        if message["type"].startswith("lifespan.shutdown."):
            threading.Thread(target=_end, name="end", daemon=True).start()

    return sending


def _end() -> None:
    """End this process, if it has not ended by itself: its grace period is over."""
    time.sleep(_LAST_S)
    os._exit(0)


def _retrieve(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
