"""Connections of hostile, slow and careless clients, held open for as long as a test wants them."""

from __future__ import annotations

import base64
import socket
import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.server.servers import Server

UPLOAD = "/api/2.0/mlflow-artifacts/artifacts/attack/upload.bin"
_LONG = 512 * 1024 * 1024


def _silence(_port: int, _artifact: str) -> bytes:
    return b""


def _half_a_head(_port: int, _artifact: str) -> bytes:
    return b"GET /health HTTP/1.1\r\nHost: 127"


def _half_an_upload(port: int, _artifact: str) -> bytes:
    return f"PUT {UPLOAD} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {_LONG}\r\n\r\n".encode() + b"x" * 5000


def _half_a_chunk(port: int, _artifact: str) -> bytes:
    head = f"PUT {UPLOAD} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head.encode() + b"10000\r\n" + b"x" * 5000


def _half_a_request(port: int, _artifact: str) -> bytes:
    head = f"POST /api/2.0/mlflow/runs/create HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 900\r\n"
    return head.encode() + b'Content-Type: application/json\r\n\r\n{"experiment_id":'


def _a_body_for_a_probe(port: int, _artifact: str) -> bytes:
    return f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {_LONG}\r\n\r\n".encode() + b"x"


def _an_answer_unread(port: int, artifact: str) -> bytes:
    return f"GET {artifact} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()


def _a_wrong_password(port: int, _artifact: str) -> bytes:
    credentials = base64.b64encode(b"admin:wrong").decode()
    head = f"GET /health/components HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Basic {credentials}\r\n\r\n"
    return head.encode()


#: Name -> what a client sends before it does nothing more: to a port, knowing a large artifact.
ATTACKS: dict[str, Callable[[int, str], bytes]] = {
    "silence": _silence,
    "half a head": _half_a_head,
    "half an upload": _half_an_upload,
    "half a chunk": _half_a_chunk,
    "half a request": _half_a_request,
    "a body for a probe": _a_body_for_a_probe,
    "an answer unread": _an_answer_unread,
    "a wrong password": _a_wrong_password,
}


@contextmanager
def held(server: Server, name: str, count: int, artifact: str) -> Iterator[list[socket.socket]]:
    """Hold so many hostile connections of one kind."""
    with ExitStack() as stack:
        clients = []
        for _ in range(count):
            client = stack.enter_context(socket.socket())
            # Small, so that an answer does not fit into the machine's buffers.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(30)
            client.connect(("127.0.0.1", server.port))
            with suppress(ConnectionError):
                client.sendall(ATTACKS[name](server.port, artifact))
            clients.append(client)
        yield clients


def aborted_download(server: Server, artifact: str, read_bytes: int) -> None:
    """Ask for an artifact, read some of the answer, and leave without a word."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(_an_answer_unread(server.port, artifact))
        got = 0
        while got < read_bytes and (piece := client.recv(min(65536, read_bytes - got))):
            got += len(piece)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")


def aborted_upload(server: Server, sent_bytes: int, *, chunked: bool) -> None:
    """Send some of an artifact, and leave without a word."""
    head = f"PUT {UPLOAD} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
    head += "Transfer-Encoding: chunked\r\n\r\n" if chunked else f"Content-Length: {2 * sent_bytes}\r\n\r\n"
    body = b"x" * sent_bytes
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as client:
        client.sendall(head.encode() + (b"%x\r\n%b\r\n" % (sent_bytes, body) if chunked else body))
        time.sleep(0)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
