"""One HTTP client for all checks: every exchange is bounded, timed and comes back as a value.

Owns sockets, timeouts, same-origin redirects of GETs and the reading of transport errors. Does not know MLflow,
and decides no cause.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3 import exceptions as u3

from mlflow_backend.verify.model import Exchange, Trouble

if TYPE_CHECKING:
    from mlflow_backend.verify.credentials import Credentials
    from mlflow_backend.verify.model import Request

CHUNK: Final = 1 << 16
MAX_BODY: Final = 160 << 20
"""The most that is read of one answer, bytes: more than the largest artifact that a check sends."""
MAX_REDIRECTS: Final = 5
POOL: Final = 8
"""Connections kept for reuse: as many as checks run at once in practice."""
CLIENT: Final = "3.17.2"
"""The MLflow client that is named if no version is declared: the newest that is supported."""
BROWSER: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

_VERIFY_CODES: Final[dict[int, Trouble]] = {
    # X509_V_ERR_* of OpenSSL's x509_vfy.h.
    9: Trouble.TLS_EXPIRED,
    10: Trouble.TLS_EXPIRED,
    18: Trouble.TLS_SELF_SIGNED,
    19: Trouble.TLS_SELF_SIGNED,
    20: Trouble.TLS_UNTRUSTED,
    21: Trouble.TLS_UNTRUSTED,
    62: Trouble.TLS_WRONG_NAME,
    64: Trouble.TLS_WRONG_NAME,
}


def as_mlflow(version: str | None) -> dict[str, str]:
    """The headers that the MLflow client of a version sends with each request: its own name over those of requests."""
    return {
        "User-Agent": f"mlflow-python-client/{version or CLIENT}",
        "Accept-Encoding": "gzip, deflate",
        "Accept": "*/*",
        "Connection": "keep-alive",
    }


class Deadline:
    """A moment on the monotonic clock that all work of one verification shares."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    def passed(self) -> bool:
        """Whether it has passed."""
        return self.left() == 0.0


@dataclass(frozen=True, kw_only=True)
class Transport:
    """How to reach the server beyond its URL. `ca_file` adds trust, `insecure` gives up on trust."""

    ca_file: str | None = None
    insecure: bool = False


class Client:
    """Sends requests below one base URL. Safe for use from many threads."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        transport: Transport,
        *,
        request_timeout_s: float,
        version: str | None = None,
    ) -> None:
        """Act as the MLflow client of `version` does."""
        self.url = url.rstrip("/")
        self.prefix = urlsplit(self.url).path
        self._headers = {**as_mlflow(version), **credentials.gate}
        self._credentials = credentials
        self._request_timeout_s = request_timeout_s
        if transport.insecure:
            # The caller says it loudly, once; urllib3 would say it at every request.
            urllib3.disable_warnings(u3.InsecureRequestWarning)
        self._transport = transport
        self._pool = self._make_pool()

    def send(self, request: Request, *, deadline: Deadline) -> Exchange:
        """Make one exchange; a GET follows redirects on the same origin.

        Whatever the network or the server does is a value.
        """
        sent = {**self._headers, **request.headers}
        if not request.anonymous:
            sent.update(self._credentials.headers)
        body = request.body
        if request.json is not None:
            body = json.dumps(request.json).encode()
            sent["Content-Type"] = "application/json"
        method = request.method
        url = self.url + request.path + ("?" + urlencode(request.query) if request.query else "")
        started = time.perf_counter()
        pool = self._make_pool() if request.alone else self._pool
        patience = deadline.left() if request.patient else min(self._request_timeout_s, deadline.left())
        exchange = self._once(pool, method, url, body=body, headers=sent, patience=patience)
        seen = {url}
        while method == "GET" and (target := self._same_origin_target(exchange, url)) is not None:
            if target in seen or len(seen) > MAX_REDIRECTS:
                exchange = _failed(exchange, Trouble.REDIRECT_LOOP, f"{len(seen)} redirects, back to {_shown(target)}")
                break
            seen.add(target)
            url = target
            left = min(patience, deadline.left())
            exchange = self._once(pool, method, url, body=body, headers=sent, patience=left)
        if request.alone:
            pool.clear()
        return replace(exchange, path=self.prefix + request.path, elapsed_ms=(time.perf_counter() - started) * 1000)

    @property
    def login(self) -> dict[str, str]:
        """The headers that sign in, here and at what is in front."""
        return {**self._credentials.gate, **self._credentials.headers}

    def close(self) -> None:
        """Drop the idle connections."""
        self._pool.clear()

    def _make_pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(
            num_pools=2,
            maxsize=POOL,
            retries=False,
            cert_reqs="CERT_NONE" if self._transport.insecure else "CERT_REQUIRED",
            ca_certs=self._transport.ca_file,
        )

    def _same_origin_target(self, exchange: Exchange, url: str) -> str | None:
        if exchange.status not in {301, 302, 303, 307, 308}:
            return None
        target = urljoin(url, exchange.headers.get("location", ""))
        return target if urlsplit(target)[:2] == urlsplit(url)[:2] else None

    @staticmethod
    def _once(  # noqa: PLR0913 - the parts of an HTTP request
        pool: urllib3.PoolManager,
        method: str,
        url: str,
        *,
        body: bytes | None,
        headers: dict[str, str],
        patience: float,
    ) -> Exchange:
        exchange = Exchange(method=method, path=_shown(url), timeout_s=patience)
        if exchange.timeout_s <= 0:
            return _failed(exchange, Trouble.DEADLINE, "no time was left to ask")
        own = Deadline(exchange.timeout_s)
        try:
            response = pool.request(
                method,
                url,
                body=body,
                headers=headers,
                timeout=urllib3.Timeout(total=exchange.timeout_s),
                redirect=False,
                preload_content=False,
            )
        except (u3.HTTPError, OSError, ValueError) as error:
            return _failed(exchange, *classify(error))
        try:
            return _read(exchange, response, own)
        except (u3.HTTPError, OSError, ValueError) as error:
            trouble, detail = classify(error)
            return _failed(exchange, Trouble.TRUNCATED if trouble is Trouble.CLOSED else trouble, detail)
        finally:
            response.release_conn()


def _read(exchange: Exchange, response: urllib3.BaseHTTPResponse, deadline: Deadline) -> Exchange:
    received = bytearray()
    # A timeout of the socket starts anew with each byte, so a dripping server would never meet it.
    for chunk in response.stream(CHUNK, decode_content=True):
        received += chunk
        if deadline.passed():
            response.close()
            return _failed(exchange, Trouble.READ_TIMEOUT, f"{len(received)} bytes came, and then too slowly")
        if len(received) > MAX_BODY:
            response.close()
            return _failed(exchange, Trouble.TOO_LARGE, f"more than {MAX_BODY} bytes came")
    names = {name.lower(): value for name, value in response.headers.items()}
    return replace(exchange, status=response.status, headers=names, body=bytes(received))


def _failed(exchange: Exchange, trouble: Trouble, detail: str) -> Exchange:
    return replace(exchange, trouble=trouble, detail=detail, status=None, headers={}, body=b"")


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return parts.path or "/"


def classify(error: BaseException) -> tuple[Trouble, str]:  # noqa: C901, PLR0911, PLR0912 - a table, one line a kind
    """Return what kind of trouble an exception of urllib3, http.client, ssl or socket means, with a short detail."""
    chain = list(_chain(error))
    for link in chain:
        match link:
            case ssl.SSLCertVerificationError():
                return _VERIFY_CODES.get(link.verify_code, Trouble.TLS_UNTRUSTED), link.verify_message
            case ssl.SSLError():
                return Trouble.TLS_BROKEN, link.reason or "TLS failed"
            case socket.gaierror():
                return Trouble.NAME_UNKNOWN, link.strerror or "no such name"
            case ConnectionRefusedError():
                return Trouble.REFUSED, "connection refused"
            case http.client.IncompleteRead() | u3.IncompleteRead():
                return Trouble.TRUNCATED, "the answer ended before its announced length"
            case http.client.RemoteDisconnected() | ConnectionResetError() | BrokenPipeError():
                return Trouble.CLOSED, "the connection was closed without an answer"
            case http.client.HTTPException():
                return Trouble.NOT_HTTP, "what answered is not HTTP"
    for link in chain:
        match link:
            case u3.ReadTimeoutError():
                return Trouble.READ_TIMEOUT, "nothing came"
            case u3.NewConnectionError():
                return Trouble.NO_ROUTE, "no route to the address"
            case u3.ConnectTimeoutError():
                return Trouble.CONNECT_TIMEOUT, "nothing answered the connection attempt"
            case TimeoutError():
                return Trouble.READ_TIMEOUT, "nothing came"
            case u3.DecodeError():
                return Trouble.ENCODING, "it does not decode as its Content-Encoding says"
    return Trouble.CLOSED, type(error).__name__


def _chain(error: BaseException) -> list[BaseException]:
    """The error with its causes, and the ones that urllib3 keeps among its arguments, innermost last."""
    found: list[BaseException] = []
    todo: list[BaseException] = [error]
    while todo:
        link = todo.pop()
        if link in found:
            continue
        found.append(link)
        todo += [inner for inner in (link.__cause__, link.__context__) if inner is not None]
        todo += [argument for argument in link.args if isinstance(argument, BaseException)]
    return found
