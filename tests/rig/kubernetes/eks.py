"""The API endpoint of an EKS cluster, with the rig's cluster behind it: it lets in AWS's signers, and nobody else.

It does what aws-iam-authenticator does in EKS: a token is a request to STS that names the cluster and that somebody
signed. STS's part, whose signature it is, is worked out here by the published algorithm (AWS Signature Version 4).
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import hashlib
import hmac
import http.client
import http.server
import json
import socket
import ssl
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from tests.rig.kubernetes import parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from tests.rig.authority import Authority

_PREFIX: Final = "k8s-aws-v1."
_HEADER: Final = "x-k8s-aws-id"
_LIFETIME: Final = dt.timedelta(minutes=15)
_HOST: Final = "127.0.0.1"
_ADMINISTRATOR: Final = "admintoken"
_HOP: Final = frozenset({"authorization", "connection", "content-length", "host", "transfer-encoding"})
_PIECE: Final = 65536


class Endpoint:
    """An endpoint of a cluster called `name`, in this thread's network.

    `keys` are the access keys that administer it, with their secrets. A token is good for `uses` requests, without a
    number for as long as EKS takes one. `tokens` counts the requests by their tokens.
    """

    def __init__(
        self, name: str, authority: Authority, *, keys: Mapping[str, str], uses: int | None = None, port: int = 0
    ) -> None:
        """Listen on a port, a free one if none is named."""
        self.name, self.tokens = name, Counter[str]()
        self._keys, self._uses = keys, uses
        self._root: Path = authority.root
        self._server = _Server(self.refusal, authority, port)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def described(self) -> dict[str, Any]:
        """The cluster, as EKS's DescribeCluster has it."""
        authority = base64.b64encode(self._root.read_bytes()).decode()
        return {
            "name": self.name,
            "status": "ACTIVE",
            "endpoint": f"https://{_HOST}:{self.port}",
            "certificateAuthority": {"data": authority},
        }

    def refusal(self, header: str) -> str:
        """Return why the bearer of an Authorization header is not let in; '' if they are."""
        kind, _, token = header.partition(" ")
        if kind != "Bearer" or not token.startswith(_PREFIX):
            return "no token of EKS's form"
        text = token.removeprefix(_PREFIX)
        try:
            url = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
            why = self._judged(url)
        except (binascii.Error, UnicodeDecodeError, ValueError, KeyError) as error:
            why = f"the token is damaged ({type(error).__name__})"
        self.tokens[token] += not why
        if not why and self._uses is not None and self.tokens[token] > self._uses:
            return "the token has ended"
        return why

    def _judged(self, url: str) -> str:
        address = urlsplit(url)
        query = dict(parse_qsl(address.query, strict_parsing=True))
        access_key, date, region, service, _ = query["X-Amz-Credential"].split("/")
        if address.scheme != "https" or address.hostname != f"sts.{region}.amazonaws.com" or service != "sts":
            return "the token asks somebody else than STS"
        if query["Action"] != "GetCallerIdentity" or query["X-Amz-Expires"] != "60":
            return "the token asks for something else"
        if query["X-Amz-SignedHeaders"] != f"host;{_HEADER}":
            return "the token is signed for no cluster"
        signed = dt.datetime.strptime(query["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
        if not dt.timedelta(minutes=-1) < dt.datetime.now(dt.UTC) - signed < _LIFETIME:
            return "the token has ended"
        secret = self._keys.get(access_key)
        if secret is None:
            return "the signer has no access entry"
        expected = _signature(address.netloc, address.query, secret, (date, region, service), cluster=self.name)
        return "" if hmac.compare_digest(expected, query["X-Amz-Signature"]) else "the signature is another's"

    def close(self) -> None:
        """Be gone, as a cluster that somebody deleted, with every thread: one that is left keeps this one inside."""
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        """Use it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.close()


class _Server(http.server.ThreadingHTTPServer):
    """Lets those through to the rig's cluster for whose Authorization header `refusal` finds no reason."""

    def __init__(self, refusal: Callable[[str], str], authority: Authority, port: int) -> None:
        super().__init__((_HOST, port), _Handler)
        self.refusal, self.closing = refusal, False
        self.trusting = ssl.create_default_context(cafile=str(authority.root))
        self.socket = authority.context(_HOST).wrap_socket(self.socket, server_side=True)
        # Those of http.server's own are left behind by its end.
        self.daemon_threads = False
        self._open: set[socket.socket] = set()

    @contextlib.contextmanager
    def kept(self, connection: socket.socket) -> Iterator[None]:
        """Hold a connection that is cut by the end."""
        self._open.add(connection)
        try:
            if self.closing:
                _cut(connection)
            yield
        finally:
            self._open.discard(connection)

    def cut(self) -> None:
        """End every connection."""
        self.closing = True
        for each in tuple(self._open):
            _cut(each)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def handle(self) -> None:
        """Answer whatever a connection asks, until it is cut."""
        # Whoever watches hangs up at some time.
        with self.server.kept(self.connection), contextlib.suppress(ConnectionError, ssl.SSLEOFError):
            try:
                super().handle()
            except (OSError, http.client.HTTPException):
                if not self.server.closing:
                    raise

    def handle_any(self) -> None:
        """Let the caller through, as the cluster's administrator."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if why := self.server.refusal(self.headers.get("Authorization", "")):
            self.refuse(why)
            return
        kept = {key: value for key, value in self.headers.items() if key.lower() not in _HOP}
        to = urlsplit(parts.URL)
        api = http.client.HTTPSConnection(str(to.hostname), to.port, context=self.server.trusting)
        api.connect()
        with self.server.kept(api.sock), contextlib.closing(api):
            api.request(self.command, self.path, body, {**kept, "Authorization": f"Bearer {_ADMINISTRATOR}"})
            self.pass_on(api.getresponse())

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815 - the base class's names

    def pass_on(self, answer: http.client.HTTPResponse) -> None:
        """Send an answer as it comes: a watch answers for as long as it is open."""
        self.send_response(answer.status)
        for key, value in answer.getheaders():
            if key.lower() not in _HOP:
                self.send_header(key, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        while piece := answer.read1(_PIECE):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        self.wfile.write(b"0\r\n\r\n")

    def refuse(self, why: str) -> None:
        """Send what the API answers to somebody whom it does not know."""
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401, "message": why}
        body = json.dumps(status).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _cut(connection: socket.socket) -> None:
    """End a connection; an SSLSocket's own way would take the session from the thread that reads."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _signature(host: str, query: str, secret: str, scope: tuple[str, str, str], *, cluster: str) -> str:
    """Return the signature that the owner of a secret key makes under a request to STS that names a cluster."""
    pairs = sorted(each for each in query.split("&") if not each.startswith("X-Amz-Signature="))
    empty = hashlib.sha256(b"").hexdigest()
    canonical = f"GET\n/\n{'&'.join(pairs)}\nhost:{host}\n{_HEADER}:{cluster}\n\nhost;{_HEADER}\n{empty}"
    (stamp,) = [value for key, value in parse_qsl(query) if key == "X-Amz-Date"]
    text = "\n".join((
        "AWS4-HMAC-SHA256", stamp, "/".join((*scope, "aws4_request")), hashlib.sha256(canonical.encode()).hexdigest()
    ))  # fmt: skip
    key = f"AWS4{secret}".encode()
    for part in (*scope, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
