"""The HTTP client on real sockets: what each kind of broken network comes back as."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.verify.client import Client, Deadline, Transport
from mlflow_backend.verify.credentials import Credentials
from mlflow_backend.verify.model import Request, Trouble
from tests.components.verify.fake_mlflow import FakeMLflow, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.verify.model import Exchange

TIMEOUT_S = 0.5


def get(url: str, path: str = "/health", *, timeout_s: float = TIMEOUT_S) -> Exchange:
    """Ask once."""
    client = Client(url, Credentials(), Transport(), request_timeout_s=timeout_s)
    try:
        return client.send(Request("GET", path), deadline=Deadline(10))
    finally:
        client.close()


def test_a_gate_is_passed_without_a_login_too() -> None:
    """Who asks anonymously gets to the server, and the server is the one that refuses."""
    credentials = Credentials(kind="bearer", headers={"Authorization": "Bearer s"}, gate={"X-Gate": "Bearer g"})
    with FakeMLflow() as fake:
        client = Client(fake.url, credentials, Transport(), request_timeout_s=TIMEOUT_S)
        for anonymous in (True, False):
            client.send(Request("GET", "/health", anonymous=anonymous), deadline=Deadline(10))
        client.close()
    assert [each.headers.get("x-gate") for each in fake.asked] == ["Bearer g"] * 2
    assert [each.headers.get("authorization") for each in fake.asked] == [None, "Bearer s"]
    assert client.login == {"X-Gate": "Bearer g", "Authorization": "Bearer s"}


@contextmanager
def speaking(*parts: bytes, hold: bool = False) -> Iterator[str]:
    """A listener that sends these bytes to whoever connects, and then closes or holds the connection."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    for part in parts:
                        peer.sendall(part)
                    if hold:
                        done.wait()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"


@pytest.mark.parametrize(
    ("parts", "hold", "trouble"),
    [
        ((), False, Trouble.CLOSED),
        ((), True, Trouble.READ_TIMEOUT),
        ((b"SSH-2.0-OpenSSH\r\n",), False, Trouble.NOT_HTTP),
        ((HEAD, b"12345"), False, Trouble.TRUNCATED),
        ((HEAD, b"12345"), True, Trouble.READ_TIMEOUT),
        ((b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",), False, Trouble.TRUNCATED),
        ((b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",), False, Trouble.ENCODING),
    ],
)
def test_a_broken_answer_is_reported_as_what_it_is(parts: tuple[bytes, ...], *, hold: bool, trouble: Trouble) -> None:
    """A connection that ends, hangs, is cut or does not speak HTTP is a value with its own name, and never raises."""
    with speaking(*parts, hold=hold) as url:
        exchange = get(url)
    assert exchange.trouble is trouble
    assert exchange.status is None


def test_a_dripping_body_ends_with_the_request_time() -> None:
    """A timeout counts for the whole answer, not anew with each byte."""
    with speaking(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", *[b"x"] * 10, hold=True) as url:
        exchange = get(url)
    assert exchange.trouble is Trouble.READ_TIMEOUT
    assert exchange.elapsed_ms < TIMEOUT_S * 1000 * 4


def test_nothing_listens() -> None:
    """A refused connection is distinguished from every other."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert get(f"http://127.0.0.1:{held.getsockname()[1]}").trouble is Trouble.REFUSED


def test_a_name_that_does_not_exist() -> None:
    """A name under .invalid never resolves (RFC 6761)."""
    assert get("http://mlflow.invalid", timeout_s=5).trouble is Trouble.NAME_UNKNOWN


def test_tls_to_a_plain_port(server: FakeMLflow) -> None:
    """TLS that fails before a certificate is seen is not called a certificate's fault."""
    assert get(server.url.replace("http://", "https://")).trouble is Trouble.TLS_BROKEN


def test_no_time_left(server: FakeMLflow) -> None:
    """After the deadline nothing is asked any more."""
    client = Client(server.url, Credentials(), Transport(), request_timeout_s=1)
    assert client.send(Request("GET", "/health"), deadline=Deadline(0)).trouble is Trouble.DEADLINE
    assert server.asked == []


def test_a_redirect_on_the_same_origin_is_followed(server: FakeMLflow) -> None:
    """A page may move below the same origin, credentials and all."""
    server.fault = lambda asked: Reply(status=307, headers={"Location": "/health"}) if asked.path == "/old" else None
    assert get(server.url, "/old").body == b"OK"


def test_a_redirect_elsewhere_is_not_followed(server: FakeMLflow) -> None:
    """Credentials are never carried to another origin."""
    server.fault = lambda _asked: Reply(status=302, headers={"Location": "http://mlflow.invalid/"})
    assert get(server.url).status == 302


@pytest.mark.parametrize("target", ["/health", "/health?again"])
def test_a_redirect_loop_is_reported(server: FakeMLflow, target: str) -> None:
    """A circle of redirects ends, and is named."""
    server.fault = lambda _asked: Reply(status=302, headers={"Location": target})
    assert get(server.url).trouble is Trouble.REDIRECT_LOOP


def test_the_path_prefix_of_the_url_is_kept(server: FakeMLflow) -> None:
    """Below a prefix every path is asked below it."""
    exchange = get(f"{server.url}/team/mlflow/", "/version")
    assert server.asked[0].path == exchange.path == "/team/mlflow/version"


def test_anonymous_calls_carry_no_credential(server: FakeMLflow) -> None:
    """The check that access is refused without credentials must not send any."""
    headers = {"Authorization": "Bearer s3cret"}
    client = Client(server.url, Credentials(kind="bearer", headers=headers), Transport(), request_timeout_s=1)
    client.send(Request("GET", "/version", anonymous=True), deadline=Deadline(5))
    client.send(Request("GET", "/version"), deadline=Deadline(5))
    client.close()
    assert [asked.headers.get("authorization") for asked in server.asked] == [None, "Bearer s3cret"]
