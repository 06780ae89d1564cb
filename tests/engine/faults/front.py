"""A reverse proxy for tests that does to requests and answers what careless fronts do.

Without hooks it passes everything on unchanged, Host included: the control of each fault goes through it as well.
"""

from __future__ import annotations

import http.client
import ssl
import threading
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UPSTREAM_TIMEOUT_S = 60
# Headers of one connection, not of the message: the proxy makes its own.
HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request on its way; header names are lower case. `upstream` is where it goes: host and port."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    upstream: tuple[str, int]

    def without(self, header: str) -> Request:
        """The request without a header."""
        return replace(self, headers={name: value for name, value in self.headers.items() if name != header})

    def having(self, header: str, value: str) -> Request:
        """The request with another value of a header."""
        return replace(self, headers={**self.headers, header: value})


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One answer on its way back. `announced` is a length other than the body's; `cut` closes without any answer."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    announced: int | None = None
    cut: bool = False


def page(status: int, text: str = "a front") -> Answer:
    """A web page, as fronts answer errors."""
    body = f"<!doctype html><html><head><title>{text}</title></head><body>{text}</body></html>".encode()
    return Answer(status=status, headers={"content-type": "text/html"}, body=body)


class Front:
    """The proxy. `before` may change a request or answer it; `after` may change the answer. Both may be set later."""

    def __init__(self, upstream: tuple[str, int], certificate: Path | None = None) -> None:
        """Listen on a free loopback port; with a certificate (and its key in the same file), by TLS."""
        self.upstream = upstream
        self.before: Callable[[Request], Request | Answer] = lambda request: request
        self.after: Callable[[Request, Answer], Answer] = lambda _request, answer: answer
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            # Each handshake in its own thread: one that is refused must not hold up the next.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        scheme = "http" if certificate is None else "https"
        self.address = ("127.0.0.1", self._server.server_address[1])
        self.url = f"{scheme}://127.0.0.1:{self.address[1]}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and close the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def send_on(self, wanted: Request) -> Answer:
        """Make a request to where it goes, and return the answer; a page with 502 if there is none."""
        connection = http.client.HTTPConnection(*wanted.upstream, timeout=UPSTREAM_TIMEOUT_S)
        try:
            connection.request(wanted.method, wanted.path, body=wanted.body or None, headers=wanted.headers)
            got = connection.getresponse()
            headers = {name.lower(): value for name, value in got.getheaders() if name.lower() not in HOP}
            body = got.read()
            # What a HEAD announces is not sent.
            announced = int(got.headers.get("content-length", 0)) if wanted.method == "HEAD" else None
            return Answer(status=got.status, headers=headers, body=body, announced=announced)
        except (OSError, http.client.HTTPException):
            return page(502, "Bad Gateway")
        finally:
            connection.close()

    def _pass_on(self, request: Request) -> Answer:
        wanted = self.before(request)
        if isinstance(wanted, Answer):
            return wanted
        return self.after(wanted, self.send_on(wanted))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def _answer(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                length = int(headers.get("content-length", 0))
                kept = {name: value for name, value in headers.items() if name not in HOP}
                request = Request(
                    method=self.command,
                    path=self.path,
                    headers=kept,
                    body=self.rfile.read(length),
                    upstream=front.upstream,
                )
                answer = front._pass_on(request)
                if answer.cut:
                    self.close_connection = True
                    return
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                announced = len(answer.body) if answer.announced is None else answer.announced
                self.send_header("Content-Length", str(announced))
                self.end_headers()
                self.wfile.write(answer.body)
                if announced > len(answer.body) and self.command != "HEAD":
                    self.close_connection = True

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Keep the test's output quiet."""

        return Handler
