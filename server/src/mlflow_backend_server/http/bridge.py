"""A WSGI application under ASGI: bodies, environments and answers from one to the other.

A slow client holds none of the threads: a request's body is received before a thread is taken, and a thread takes the
answer piece by piece, each only when the piece before it was sent. A client that leaves ends the work: the answer is
closed, which removes what MLflow copied for it.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from tempfile import NamedTemporaryFile
from typing import IO, TYPE_CHECKING, Any

from mlflow_backend_server.http.copies import GONE
from mlflow_backend_server.http.exchange import IN_MEMORY_BYTES, ClientGoneError
from mlflow_backend_server.http.pieces import gathered, least_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, MutableMapping

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

#: An answer that takes longer is worth watching its client for.
_PATIENCE_S = 0.5
#: As many as Starlette gives to a mounted WSGI application.
_THREADS = 40


class Bridge:
    """An ASGI application, for HTTP only, around a WSGI application."""

    def __init__(self, app: Any) -> None:
        """Stand before `app`."""
        self._app = app
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="flask")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one request. Raises ClientGoneError if the client leaves before it has sent its body."""
        body, length = await _receive_body(receive)
        answer = _WsgiAnswer(self._app, environ_of(scope, body, length), body)
        loop, leaving = asyncio.get_running_loop(), _Leaving(receive)
        watch = loop.call_later(_PATIENCE_S, leaving.watch)
        GONE.set(leaving.seen)
        context, pull = contextvars.copy_context(), loop.run_in_executor
        try:
            more = await pull(self._threads, context.run, answer.pull)
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.piece, "more_body": more})
            while more:
                # Servers take what is sent to a client that left, and throw it away.
                leaving.watch()
                if leaving.seen():
                    return
                more = await pull(self._threads, context.run, answer.pull)
                await send({"type": "http.response.body", "body": answer.piece, "more_body": more})
        finally:
            watch.cancel()
            leaving.end()
            if not answer.closed:
                # In a thread: it waits for one that is still at work for this answer (in `context`), and deletes files.
                self._threads.submit(context.copy().run, answer.close)


class _WsgiAnswer:
    """The application's answer to one request, taken piece by piece in a thread."""

    def __init__(self, app: Any, environ: dict[str, Any], request_body: IO[bytes]) -> None:
        self._app, self._environ, self._request_body = app, environ, request_body
        self._body: Any = ()
        self._pieces: Iterator[bytes] | None = None
        self._least = 0
        self._busy = threading.Lock()
        self.status, self.piece, self.closed = 500, b"", False
        self.headers: list[tuple[bytes, bytes]] = []

    def pull(self) -> bool:
        """Take the next piece, calling the application first if it was not yet; return whether there may be more."""
        with self._busy:
            self.piece = b""
            if self.closed:
                return False
            try:
                if self._pieces is None:
                    self._body = self._app(self._environ, self._start)
                    self._least = least_bytes(self._kind())
                    self._pieces = gathered(self._body, self._least)
                self.piece = next(self._pieces, b"")
            except BaseException:
                self._close()
                raise
            if len(self.piece) < self._least:
                # Only the last one is shorter.
                self._close()
            return not self.closed

    def close(self) -> None:
        """End the answer, wherever it is, once no thread is at work for it."""
        with self._busy:
            self._close()

    def _start(self, status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], None]:
        del error
        self.status = int(status.split(" ", 1)[0])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _refuse_write

    def _kind(self) -> str:
        return next((value.decode("latin-1") for name, value in self.headers if name == b"content-type"), "")

    def _close(self) -> None:
        if self.closed:
            return
        self.closed = True
        # Whatever MLflow hung on the request goes with it: in old versions nothing else removes its copy.
        body, self._body, self._pieces, self._environ = self._body, (), None, {}
        try:
            if hasattr(body, "close"):
                body.close()
        finally:
            self._request_body.close()


def _refuse_write(_piece: bytes) -> None:
    raise NotImplementedError("the old write() of WSGI, which Flask does not use")


class _Leaving:
    """Sees a client leave, once it is watched for: most requests are over before that is worth its cost."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._task: asyncio.Task[None] | None = None

    def watch(self) -> None:
        """Watch from now on."""
        if self._task is None:
            self._task = asyncio.ensure_future(self._left())

    def seen(self) -> bool:
        """Return whether it has left; asked in any thread."""
        return self._task is not None and self._task.done()

    def end(self) -> None:
        """Watch no more."""
        if self._task is not None:
            self._task.cancel()

    async def _left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _receive_body(receive: Receive) -> tuple[IO[bytes], int]:
    """Return the request's body, ready to be read, and its length in bytes."""
    body: IO[bytes] = BytesIO()
    try:
        while True:
            message = await _received(receive)
            body.write(message.get("body", b""))
            if not message.get("more_body", False):
                length = body.tell()
                body.seek(0)
                return body, length
            if isinstance(body, BytesIO) and body.tell() > IN_MEMORY_BYTES:
                body = _in_a_file(body)
    except BaseException:
        body.close()
        raise


async def _received(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGoneError("the client went away before it had sent its body")
    return message


def _in_a_file(body: BytesIO) -> IO[bytes]:
    # With a name, so that it counts where the temporary folder is measured.
    file: IO[bytes] = NamedTemporaryFile(prefix="spool-")  # noqa: SIM115 - closed with the answer
    file.write(body.getbuffer())
    return file


def environ_of(scope: MutableMapping[str, Any], body: IO[bytes], length: int) -> dict[str, Any]:
    """Return the WSGI environment (PEP 3333) of an ASGI request with a body of `length` bytes."""
    server = scope.get("server") or ("localhost", 80)
    client = scope.get("client") or ("", 0)
    root = scope.get("root_path", "")
    environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root.encode().decode("latin-1"),
        "PATH_INFO": scope["path"].removeprefix(root).encode().decode("latin-1"),
        "QUERY_STRING": scope.get("query_string", b"").decode("latin-1"),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1] or 80),
        "SERVER_PROTOCOL": f"HTTP/{scope.get('http_version', '1.1')}",
        "REMOTE_ADDR": client[0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": body,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").upper().replace("-", "_"), raw_value.decode("latin-1")
        key = name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"
        # Cookies are joined as HTTP/2 splits them; lists of other headers by commas.
        separator = "; " if name == "COOKIE" else ","
        environ[key] = f"{environ[key]}{separator}{value}" if key in environ else value
    # What came is known: a chunked body has no length of its own, and Flask would read none.
    environ["CONTENT_LENGTH"] = str(length)
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return environ
