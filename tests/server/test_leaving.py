"""Clients that leave, stall or dawdle: their work ends, and they hold nothing that others need."""

from __future__ import annotations

import asyncio
import base64
import threading
from typing import TYPE_CHECKING, Any

import pytest
from mlflow_backend_server.access.passwords import Passwords
from mlflow_backend_server.health.board import Board
from mlflow_backend_server.health.readiness import Readiness
from mlflow_backend_server.http.asgi import AsgiFilter
from mlflow_backend_server.http.bridge import Bridge
from mlflow_backend_server.http.exchange import ClientGoneError
from mlflow_backend_server.http.record import Recorder
from mlflow_backend_server.request_filter import RequestFilter, Users
from mlflow_backend_server.settings import Access, Settings

from tests.server.logins import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

DEADLINE_S = 30
PIECE = b"x" * 4096


class Endless:
    """An answer without an end, as a client sees one that it will never read to its end."""

    def __init__(self) -> None:
        """Begin."""
        self.given, self.closed = 0, threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        """Give lines until it is closed."""
        while not self.closed.is_set():
            self.given += 1
            yield PIECE

    def close(self) -> None:
        """Note it."""
        self.closed.set()


class Client:
    """An ASGI client that reads `after` pieces of its answer and then does as `how` says."""

    def __init__(self, how: str, after: int = 0) -> None:
        """Begin."""
        self.how, self.after, self.got, self.asked = how, after, b"", False
        self.held, self.gone = asyncio.Event(), asyncio.Event()
        self.left = after

    async def receive(self) -> dict[str, Any]:
        """Send the request, or half of it, and wait."""
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": b"half", "more_body": self.how == "dawdles"}
        if self.how == "dawdles":
            self.held.set()
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take a piece, or none any more."""
        self.got += message.get("body", b"")
        if message["type"] != "http.response.body" or self.how == "reads":
            return
        if self.left:
            self.left -= 1
            return
        self.held.set()
        if self.how == "fails":
            raise ClientGoneError
        if self.how == "stalls":
            await self.gone.wait()
        else:
            # A server takes what is sent to a client that left, and throws it away.
            self.gone.set()
            await asyncio.sleep(0)

    def ask(self, bridge: Bridge, name: str = "") -> asyncio.Task[None]:
        """Begin the exchange."""
        scope = {"type": "http", "method": "PUT", "path": "/x", "headers": [(b"x", name.encode())]}
        return asyncio.ensure_future(bridge(scope, self.receive, self.send))


@pytest.mark.parametrize("cancelled", [False, True], ids=["", "cancelled"])
@pytest.mark.parametrize("how", ["leaves", "stalls", "fails"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_client_that_leaves_ends_the_work(how: str, after: int, *, cancelled: bool) -> None:
    """Whenever and however it goes, the answer is closed, and not taken to its end."""
    answer = Endless()

    def app(_environ: Any, start: Any) -> Endless:
        start("200 OK", [])
        return answer

    async def exchange() -> None:
        client = Client(how, after)
        task = client.ask(Bridge(app))
        await asyncio.wait_for(client.held.wait(), DEADLINE_S)
        client.gone.set()
        if cancelled:
            task.cancel()
        done, _ = await asyncio.wait({task}, timeout=DEADLINE_S)
        assert task in done
        if not task.cancelled():
            assert isinstance(task.exception(), ClientGoneError if how == "fails" else type(None))

    asyncio.run(exchange())
    assert answer.closed.wait(DEADLINE_S)
    assert answer.given * len(PIECE) <= (after + 3) * 128 * 1024


def test_a_client_that_leaves_while_mlflow_works_has_its_answer_closed() -> None:
    """Nobody stops a thread, but what it made for a client that left is removed when it returns."""
    answer, working, go_on = Endless(), threading.Event(), threading.Event()

    def app(_environ: Any, start: Any) -> Endless:
        working.set()
        go_on.wait(DEADLINE_S)
        start("200 OK", [])
        return answer

    async def exchange() -> None:
        task = Client("leaves").ask(Bridge(app))
        await asyncio.to_thread(working.wait, DEADLINE_S)
        task.cancel()
        await asyncio.wait({task}, timeout=DEADLINE_S)
        go_on.set()

    asyncio.run(exchange())
    assert answer.closed.wait(DEADLINE_S)


@pytest.mark.parametrize("how", ["stalls", "dawdles"])
def test_slow_clients_hold_no_threads(how: str) -> None:
    """More of them than there are threads, each in the middle of its answer or its body: the next one is served."""

    def app(environ: Any, start: Any) -> Any:
        start("200 OK", [])
        return [b"served"] if environ["HTTP_X"] == "quick" else Endless()

    async def crowd() -> bytes:
        bridge, slow, quick = Bridge(app), [Client(how) for _ in range(100)], Client("reads")
        tasks = [client.ask(bridge) for client in slow]
        for client in slow:
            await asyncio.wait_for(client.held.wait(), DEADLINE_S)
        await asyncio.wait_for(quick.ask(bridge, "quick"), DEADLINE_S)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=DEADLINE_S)
        return quick.got

    assert asyncio.run(crowd()) == b"served"


HEALTH = ("/health", "/health/ready", "/health/components")


@pytest.mark.parametrize("attacked", ["/api/2.0/mlflow/runs/get", *HEALTH[1:]])
def test_passwords_under_way_never_keep_a_probe_waiting(attacked: str) -> None:
    """As many callers as like may have their passwords judged, wherever they send them: probes have none."""
    judging = threading.Event()
    store = Store()
    store.authenticate_user = lambda *_: judging.wait(DEADLINE_S)  # type: ignore[method-assign]
    users = Users(passwords=Passwords(store, seconds=30, most_waiting=64))
    request_filter = RequestFilter(
        settings=Settings(access=Access.BASIC),
        board=Board(()),
        readiness=Readiness(()),
        identities=None,  # type: ignore[arg-type]  # nothing asks for it
        users=users,
    )
    app = AsgiFilter(None, request_filter, Recorder(template=lambda *_: "", metrics=None, log=False))

    async def ask(path: str, headers: list[tuple[bytes, bytes]]) -> int:
        statuses = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status"))

        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        await app(scope, Client("reads").receive, send)
        return int(statuses[0])

    async def crowd() -> list[int]:
        names = [base64.b64encode(f"name{number}:x".encode()) for number in range(60)]
        attack = [asyncio.ensure_future(ask(attacked, [(b"authorization", b"Basic " + name)])) for name in names]
        await asyncio.sleep(0)
        try:
            return [await asyncio.wait_for(ask(path, []), DEADLINE_S / 2) for path in HEALTH]
        finally:
            judging.set()
            for task in attack:
                task.cancel()
            await asyncio.wait(attack, timeout=DEADLINE_S)

    assert asyncio.run(crowd()) == [200] * len(HEALTH)
