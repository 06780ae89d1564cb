"""The worker of gunicorn that serves MLflow's Flask application: threads, of which some are for health routes only.

Gunicorn's own `gthread` gives a thread to each connection with something to read, and waits for a slow client without
an end: as many of those as there are threads, and nobody is answered, probes included.
"""

from __future__ import annotations

import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from gunicorn.workers.gthread import ThreadWorker

from mlflow_backend_server.http.exchange import without_prefix
from mlflow_backend_server.http.routes import HEALTH_ROUTES

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEALTH_THREADS = 4
#: Longer than the head of any probe.
_PEEKED_BYTES = 8192
#: A client that is answered while it still sends would see a broken connection instead of its answer, so what it sends
#: is read and thrown away: for so long.
_LINGER_S = 2.0
_PIECE = 65536


# Gunicorn is of the server's environment.
class Worker(ThreadWorker):  # type: ignore[misc]
    """A thread worker that answers probes whatever its other clients do, and waits for none of them for ever."""

    tpool: Any

    def init_process(self) -> None:
        """Make the threads, then serve."""
        self._health_routes = ThreadPoolExecutor(_HEALTH_THREADS, thread_name_prefix="health")
        super().init_process()

    def enqueue_req(self, conn: Any) -> None:
        """Give a connection with a request to read to a thread; called in the main thread only."""
        with self._threads_of(_peeked(conn.sock)):
            super().enqueue_req(conn)

    @contextmanager
    def _threads_of(self, head: bytes) -> Iterator[None]:
        usual = self.tpool
        self.tpool = self._health_routes if is_probe(head, os.environ.get("MLFLOW_BACKEND_PATH_PREFIX", "")) else usual
        try:
            yield
        finally:
            self.tpool = usual

    def handle(self, conn: Any) -> Any:
        """Serve a connection's next request; a client that neither sends nor reads for the time-out is left."""
        conn.sock.settimeout(self.cfg.timeout)
        return super().handle(conn)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Serve one request; return whether the connection may have another."""
        conn.sock.settimeout(self.cfg.timeout)
        try:
            keep = bool(super().handle_request(req, conn))
        except TimeoutError:
            # Gunicorn closes the connection without a word.
            raise StopIteration from None
        if _has_more(req.body):
            _linger(conn.sock)
            return False
        return keep


def is_probe(head: bytes, prefix: str) -> bool:
    """Return whether this is the whole head of a request for a health route, without credentials to check."""
    if b"\r\n\r\n" not in head:
        return False
    request_line, *fields = head.partition(b"\r\n\r\n")[0].split(b"\r\n")
    method, _, rest = request_line.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0].decode("latin-1")
    names = {field.partition(b":")[0].strip().lower() for field in fields}
    decisive = names & {b"authorization", b"x-api-key", b"content-length", b"transfer-encoding", b"expect"}
    return method in {b"GET", b"HEAD"} and without_prefix(path, prefix.rstrip("/")) in HEALTH_ROUTES and not decisive


def _peeked(client: socket.socket) -> bytes:
    try:
        return client.recv(_PEEKED_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except OSError:
        return b""


def _has_more(body: Any) -> bool:
    """Return whether the client still owes some of the body, as gunicorn's readers know it."""
    reader = body.reader
    return bool(getattr(reader, "length", 0)) or getattr(reader, "parser", None) is not None


def _linger(client: socket.socket) -> None:
    end = time.monotonic() + _LINGER_S
    with suppress(OSError):
        client.shutdown(socket.SHUT_WR)
        while (left := end - time.monotonic()) > 0:
            client.settimeout(left)
            if not client.recv(_PIECE):
                return
