"""The front as a real Caddy: by HTTP/2 in plain text, as Google's proxy calls it, an upload of any size arrives.

Another Caddy stands for Google's proxy: it takes HTTP/1.1 from callers and speaks h2c only. It has no limit of its own,
so that what Google refuses is not shown.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from typing import TYPE_CHECKING, ClassVar

import pytest

from mlflow_backend.cloudrun.render import containers, front
from mlflow_backend.local import ports
from mlflow_backend.local.tools import installed
from tests.components.cloudrun.stacks import body_of, changed
from tests.loopback_http import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DEADLINE_S = 20
_MIB = 1024 * 1024
_UPLOAD_MIB = 200
_REQUESTS = 5


class Server(http.server.BaseHTTPRequestHandler):
    """Stands for the server: answers with the digest of what it was given, and with the headers."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[list[object]] = []
    streaming: ClassVar[threading.Event]

    def setup(self) -> None:
        """Note the connection."""
        self.connections.append(self.client_address)
        super().setup()

    def do_POST(self) -> None:
        """Answer with a part, and with the rest as soon as the test has seen it."""
        list(self._pieces())
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"5\r\nfirst\r\n")
        self.streaming.wait(2 * _DEADLINE_S)
        self.wfile.write(b"4\r\nlast\r\n0\r\n\r\n")

    def do_PUT(self) -> None:
        """Read all of it, as HTTP/1.1 sends it."""
        digest, size = hashlib.sha256(), 0
        for piece in self._pieces():
            digest.update(piece)
            size += len(piece)
        answer = json.dumps({"digest": digest.hexdigest(), "size": size, "headers": dict(self.headers)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def do_GET(self) -> None:
        """Answer the same."""
        self.do_PUT()

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            left = int(self.headers.get("Content-Length", 0))
            while left:
                piece = self.rfile.read(min(left, _MIB))
                left -= len(piece)
                yield piece
            return
        while length := int(self.rfile.readline(), 16):
            yield self.rfile.read(length)
            self.rfile.readline()
        self.rfile.readline()

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def running(
    command: list[str], port: int, environment: dict[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Caddy until it listens, and end it."""
    folder.mkdir()
    state = {"XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env={"PATH": os.environ["PATH"], **state, **environment}, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + _DEADLINE_S
        while not ports.listens(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, (folder / "log").read_text()
            threading.Event().wait(0.02)
        yield process
    finally:
        process.kill()
        process.wait(_DEADLINE_S)


@pytest.fixture
def server() -> Iterator[int]:
    """Run the server; its port."""
    Server.connections.clear()
    Server.streaming = threading.Event()
    with LoopbackServer(Server) as made:
        yield made.port
        Server.streaming.set()


@pytest.fixture
def workers() -> int:
    """Return how many workers the server is said to have."""
    return 1


@pytest.fixture
def chain(server: int, workers: int, tmp_path: Path) -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    """Run the front, and what stands for Google's proxy before it; the ports of both, and the front."""
    own, outer = ports.free(), ports.free()
    caddy = str(installed("caddy"))
    # The image has it on PATH, and the file where it is written is the container's own.
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "caddy").symlink_to(caddy)
    command = [part.replace(containers.TEMPORARY, str(tmp_path)) for part in front.COMMAND]
    configuration = front.configuration(server_port=server, workers=workers, host="127.0.0.1", port=own)
    environment = {front.VARIABLE: json.dumps(configuration), "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    google = tmp_path / "google.json"
    google.write_text(json.dumps(_google(outer, own)), encoding="utf-8")
    with (
        running(command, own, environment, tmp_path / "front") as process,
        running([caddy, "run", "--config", str(google)], outer, {}, tmp_path / "google"),
    ):
        yield own, outer, process


def _google(port: int, upstream: int) -> dict[str, object]:
    proxy = {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{upstream}"}],
        "transport": {"protocol": "http", "versions": ["h2c"]},
        "headers": {"request": {"set": {"X-Forwarded-Proto": ["https"], "X-Forwarded-For": ["203.0.113.7"]}}},
    }
    server = {"listen": [f"127.0.0.1:{port}"], "protocols": ["h1"], "routes": [{"handle": [proxy]}]}
    return {"admin": {"disabled": True}, "apps": {"http": {"servers": {"google": server}}}}


def ask(port: int, method: str, body: Iterator[bytes] | None = None) -> dict[str, object]:
    """Ask as a caller does, by HTTP/1.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_DEADLINE_S)
    with contextlib.closing(connection):
        connection.request(
            method, "/api", body=body, headers={"Host": "mlflow.example.com"}, encode_chunked=body is not None
        )
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        found: dict[str, object] = json.loads(answer.read())
        return found


def test_an_upload_of_200_mib_arrives_whole(chain: tuple[int, int, subprocess.Popen[bytes]]) -> None:
    """Google's limit of 32 MiB is not for containers that speak h2c, and nothing else on the way has one."""
    piece, digest = bytes(range(256)) * 4096, hashlib.sha256()
    for _ in range(_UPLOAD_MIB):
        digest.update(piece)
    found = ask(chain[1], "PUT", (piece for _ in range(_UPLOAD_MIB)))
    assert found["size"] == _UPLOAD_MIB * _MIB
    assert found["digest"] == digest.hexdigest()


def test_the_server_hears_who_called(chain: tuple[int, int, subprocess.Popen[bytes]]) -> None:
    """Host and scheme are the caller's, and the address two proxies before, as the server is told to look."""
    headers = ask(chain[1], "GET")["headers"]
    assert isinstance(headers, dict)
    assert headers["Host"] == "mlflow.example.com"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-For"].split(", ") == ["203.0.113.7", "127.0.0.1"]


@pytest.mark.parametrize(("workers", "connections"), [(1, 1), (2, _REQUESTS)])
def test_connections_to_one_worker_are_kept(chain: tuple[int, int, subprocess.Popen[bytes]], connections: int) -> None:
    """One for each request costs CPU; with several workers it is what spreads the requests over them."""
    Server.connections.clear()
    for _ in range(_REQUESTS):
        ask(chain[1], "GET")
    assert len(Server.connections) == connections


def test_a_kept_connection_is_closed_by_the_front() -> None:
    """One that the server closes may meet a request, and a POST is not repeated: the caller would see a 502."""
    for variant in ("basic", "old"):
        settings = changed(variant, {"server": {"requestTimeout": 5}})
        argv = " ".join(body_of(settings)["template"]["containers"][1]["args"])
        (kept,) = re.findall(r"keep-alive (\d+)", argv)
        assert int(kept) > front.IDLE_S


def test_a_stream_arrives_as_it_comes(chain: tuple[int, int, subprocess.Popen[bytes]]) -> None:
    """Nothing on the way waits for the end of an answer."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", chain[1], timeout=_DEADLINE_S)) as connection:
        connection.request("POST", "/api", headers={"Host": "mlflow.example.com"})
        answer = connection.getresponse()
        assert answer.read(5) == b"first"
        Server.streaming.set()
        assert answer.read() == b"last"


def test_probes_are_answered(chain: tuple[int, int, subprocess.Popen[bytes]]) -> None:
    """Cloud Run's HTTP probes speak HTTP/1."""
    assert ask(chain[0], "GET")["size"] == 0


def test_an_instance_ends_by_its_signal(chain: tuple[int, int, subprocess.Popen[bytes]]) -> None:
    """Cloud Run sends SIGTERM to the container's process and kills it ten seconds later."""
    chain[2].send_signal(signal.SIGTERM)
    chain[2].wait(front.GRACE_S + 1)
    with socket.socket() as asking:
        assert asking.connect_ex(("127.0.0.1", chain[0])) != 0
