"""The one server of the rig: every name of Google's that it answers to, by HTTPS and by HTTP, each to its part."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from tests.rig.gcp.discovery import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.rig.patches import Patches

_CHUNK: Final = 1 << 16
_IDLE_S: Final = 60


class Exchange(BaseHTTPRequestHandler):
    """One connection; `parts` says which part answers a host."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE_S
    disable_nagle_algorithm = True
    serves: Callable[[str], Callable[[Exchange], None] | None]
    secure: bool

    def handle_one(self) -> None:
        """Let the part that has the host answer."""
        host = self.headers.get("Host", "").partition(":")[0]
        self.target, self.host, self._body = self.path, host, self._read()
        first = self.path.split("/", 2)[1] if self.path.startswith("/") else ""
        if "." in first and self.serves(first):
            self.host, self.target = first, self.path[len(first) + 1 :]
        part = self.serves(self.host)
        try:
            if part is not None:
                part(self)
            else:
                self.say(404, Failed(404, f"the rig serves no {self.host}").document())
        except Failed as failed:
            self.say(failed.code, failed.document())
        except (BrokenPipeError, ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = handle_one  # noqa: N815 - http.server's

    def pieces(self) -> Iterator[bytes]:
        """Yield what nobody has read of the body yet, as it comes."""
        # No `yield from`: whoever gives up half-way must not close what the rest is read from.
        for piece in self._body:  # noqa: UP028
            yield piece

    def _read(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while length := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read(min(left, _CHUNK))
            if not piece:
                raise ConnectionError
            left -= len(piece)
            yield piece

    def body(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.pieces())

    def say(self, status: int, document: Any, **headers: str) -> None:
        """Answer with JSON, or with bytes as they are."""
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        # A caller that still sends would not see the answer, and the rest would be taken for the next request.
        for _ in self.pieces():
            pass
        self.send_response(status)
        kind = "application/octet-stream" if isinstance(document, bytes) else "application/json; charset=UTF-8"
        for name, value in {
            "Content-Type": kind,
            **{key.replace("_", "-"): each for key, each in headers.items()},
        }.items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(content)

    @property
    def url(self) -> Any:
        """The target's parts."""
        return urlsplit(self.target)

    def log_message(self, *_: Any) -> None:
        """Say nothing: a rig answers thousands of requests."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        if self.context is not None:
            # The handshake is the first read's, in the connection's own thread.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of callers that went away."""


def serve(
    patches: Patches,
    address: str,
    serves: Callable[[str], Callable[[Exchange], None] | None],
    context: ssl.SSLContext | None = None,
) -> None:
    """Serve an address until the patches end: port 443 with a context, 80 without."""
    handler = type("Exchange", (Exchange,), {"serves": staticmethod(serves), "secure": context is not None})
    server = _Server((address, 443 if context else 80), handler)
    server.context = context
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    patches.callback(server.server_close)
    patches.callback(thread.join)
    patches.callback(server.shutdown)


def context(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what the server speaks TLS with."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made
