"""HTTP servers of tests: on a free port of 127.0.0.1, each with a thread of its own, which `close` ends."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping


class Handler(BaseHTTPRequestHandler):
    """Base of what answers in a test: `reply` to every method, and nothing printed."""

    def reply(self) -> None:
        """Answer what was asked: `command`, `path`, `headers`."""
        raise NotImplementedError

    def _reply(self) -> None:
        self.reply()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _reply  # noqa: N815 - the library's names

    def answer(self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> None:
        """Send a whole answer."""
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Print nothing."""


class LoopbackServer:
    """Answers by `handler` from now on, by TLS with a `context`. Attributes: `port` and `url`, without a slash."""

    def __init__(
        self, handler: Callable[..., BaseHTTPRequestHandler], *, context: ssl.SSLContext | None = None
    ) -> None:
        """Listen."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_port
        self.url = f"http{'s' if context else ''}://127.0.0.1:{self.port}"
        # The poll is how long its end takes at most.
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        """Leave no thread and no socket."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        """It answers already."""
        return self

    def __exit__(self, *_: object) -> None:
        """See `close`."""
        self.close()
