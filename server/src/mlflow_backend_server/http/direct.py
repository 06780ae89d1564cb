"""Flask's routes served by Flask at once, under uvicorn, without the way through FastAPI.

MLflow mounts its Flask application below FastAPI, so that every call of the REST API passes six middlewares, two of
them with a task group each, and a hundred route patterns: a third of its CPU time (measured on 3.17.2). What those
middlewares do (Host and CORS checks, workspaces) MLflow also has for Flask alone, where gunicorn serves; that is used
here. Requests that FastAPI has a route for, and all that Flask has none for, go the old way.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from mlflow_backend_server.http.routes import Routes

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

#: As many as Starlette gives to a mounted WSGI application.
_THREADS = 40
#: A longer body (an artifact, where FastAPI has no route for those) goes to a temporary file, not into memory.
_IN_MEMORY_BYTES = 1024 * 1024
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
#: What FastAPI has in front of its routes, in every release since 3.3, and Flask has too (or does not need: timing of
#: the gateway, permissions of FastAPI's own routes). With anything else in front, nothing is taken around it.
_UNDERSTOOD = frozenset({
    "CORSBlockingMiddleware", "CORSMiddleware", "HostValidationMiddleware", "SecurityHeadersMiddleware",
    "fastapi_permission_middleware", "gateway_timing_middleware", "workspace_context_middleware",
})  # fmt: skip


def can_go_direct(fastapi_app: Any) -> bool:
    """Tell whether everything in front of FastAPI's routes is understood."""
    found = {_name(middleware) for middleware in fastapi_app.user_middleware}
    return found <= _UNDERSTOOD


def secure(flask_app: Any) -> None:
    """Give the Flask application MLflow's own Host and CORS checks, first of all its hooks, where MLflow has them."""
    if importlib.util.find_spec("mlflow.server.security") is None:
        return
    hooks = flask_app.before_request_funcs.setdefault(None, [])
    before = len(hooks)
    importlib.import_module("mlflow.server.security").init_security_middleware(flask_app)
    hooks[:] = [*hooks[before:], *hooks[:before]]


def _name(middleware: Any) -> str:
    dispatch = middleware.kwargs.get("dispatch")
    return str(getattr(dispatch or middleware.cls, "__name__", ""))


class Direct:
    """An ASGI application that gives each request to Flask or to FastAPI."""

    def __init__(self, flask_app: Any, fastapi_app: Any, routes: Routes) -> None:
        """Stand before both."""
        self._flask, self._fastapi, self._routes = flask_app, fastapi_app, routes
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="flask")

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] != "http" or not self._is_for_flask(scope["method"], scope["path"]):
            await self._fastapi(scope, receive, send)
            return
        with SpooledTemporaryFile(_IN_MEMORY_BYTES) as body:
            length = await _receive_body(receive, body)
            await self._serve(environ_of(scope, body, length), send)

    async def _serve(self, environ: dict[str, Any], send: Send) -> None:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        answer = _WsgiAnswer(self._flask, environ)
        more = await loop.run_in_executor(self._threads, context.run, answer.first)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        await send({"type": "http.response.body", "body": answer.piece, "more_body": more})
        while more:
            more = await loop.run_in_executor(self._threads, context.run, answer.following)
            await send({"type": "http.response.body", "body": answer.piece, "more_body": more})

    def _is_for_flask(self, method: str, path: str) -> bool:
        if method not in _METHODS or self._routes.flask_rule(method, path) is None:
            return False
        return not self._routes.is_native(method, path)


class _WsgiAnswer:
    """Flask's answer to one request, taken piece by piece in a thread."""

    def __init__(self, app: Any, environ: dict[str, Any]) -> None:
        self._app, self._environ = app, environ
        self.status, self.piece = 500, b""
        self.headers: list[tuple[bytes, bytes]] = []

    def first(self) -> bool:
        """Call the application and take the first piece; tell whether there may be more."""
        self._body = self._app(self._environ, self._start)
        if isinstance(self._body, (list, tuple)) or getattr(self._body, "is_sequence", False):
            try:
                self.piece = b"".join(self._body)
            finally:
                self._close()
            return False
        self._pieces = iter(self._body)
        return self.following()

    def following(self) -> bool:
        """Take the next piece; tell whether there may be more."""
        try:
            self.piece = next(self._pieces)
        except StopIteration:
            self.piece = b""
            self._close()
            return False
        except BaseException:
            self._close()
            raise
        return True

    def _start(self, status: str, headers: list[tuple[str, str]], error: Any = None) -> Callable[[bytes], None]:
        del error
        self.status = int(status.split(" ", 1)[0])
        self.headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        return _refuse_write

    def _close(self) -> None:
        if hasattr(self._body, "close"):
            self._body.close()


def _refuse_write(_piece: bytes) -> None:
    raise NotImplementedError("the old write() of WSGI, which Flask does not use")


async def _receive_body(receive: Receive, body: SpooledTemporaryFile[bytes]) -> int:
    """Write the request's body into `body`, ready to be read, and return its length in bytes."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client went away before it had sent its body")
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            length = body.tell()
            body.seek(0)
            return length


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
