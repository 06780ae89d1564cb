"""The switch between revisions under load: no request is dropped, and a careless switch under that load drops some."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import ports, processes, revisions
from mlflow_backend.local.history import LocalHistory
from tests.engine.calls import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.stack import LocalStack

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("local-switch")]

SLOW_UPLOADS, QUICK_READERS = 3, 2
# Long enough that a switch always meets some of them half-way.
UPLOAD_S = 1.5
PIECES = 15
ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/switch-test"


@dataclass
class Load:
    """What clients saw while the load ran."""

    answered: int = 0
    dropped: list[str] = field(default_factory=list)


def upload_slowly(port: int, name: str) -> int:
    """Send an artifact in pieces over some time, as a client on a slow line does; return the status."""
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=60)
    try:
        connection.putrequest("PUT", f"{ARTIFACT}/{name}")
        connection.putheader("Content-Length", str(PIECES))
        connection.endheaders()
        for _ in range(PIECES):
            connection.send(b"x")
            time.sleep(UPLOAD_S / PIECES)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def read_on(port: int, stop: threading.Event, load: Load) -> None:
    """Ask again and again over one kept-alive connection, as a polling client does."""
    connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=60)
    try:
        while not stop.is_set():
            try:
                connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
                answer = connection.getresponse()
                answer.read()
                note(load, answer.status, "read")
            except (OSError, http.client.HTTPException) as error:
                load.dropped.append(f"read: {type(error).__name__}")
                connection.close()
    finally:
        connection.close()


def note(load: Load, status: int, what: str) -> None:
    """Count an answer."""
    if status == http.client.OK:
        load.answered += 1
    else:
        load.dropped.append(f"{what}: {status}")


@contextmanager
def under_load(port: int) -> Iterator[Load]:
    """Run uploads and reads against the public port."""
    load, stop = Load(), threading.Event()

    def uploads(number: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            try:
                note(load, upload_slowly(port, f"{number}-{turn}"), "upload")
            except (OSError, http.client.HTTPException) as error:
                load.dropped.append(f"upload: {type(error).__name__}")

    threads = [threading.Thread(target=uploads, args=(n,)) for n in range(SLOW_UPLOADS)]
    threads += [threading.Thread(target=read_on, args=(port, stop, load)) for _ in range(QUICK_READERS)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: load.answered > SLOW_UPLOADS + QUICK_READERS, within_s=30, what="the load runs")
        yield load
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_changed_setting_makes_a_new_revision_without_a_dropped_request(deployed: LocalStack) -> None:
    """`up` with another setting serves a new revision on the same port; slow uploads and kept connections go on."""
    port = ports.known(deployed.state)["front"]
    (old, *_) = revisions.list_all(deployed.state)
    deployed.write_settings(server={"requestTimeout": 120})
    with under_load(port) as load:
        deployed.must_up()
    serving = revisions.active(deployed.state)
    assert serving is not None
    assert serving.number == old.number + 1
    assert not load.dropped, load.dropped[:5]
    assert not deployed.processes(old.program.name)
    assert old == revisions.load(deployed.state, old.number)


def test_the_five_verbs_agree_with_what_serves(deployed: LocalStack) -> None:
    """History lists newest first, knows the current, switches to an older one without a drop, waits, and prunes."""
    history = LocalHistory(deployed.state)
    newest, older = (revision.id for revision in history.revisions())
    current = history.current()
    assert current is not None
    assert current.id == newest
    with under_load(ports.known(deployed.state)["front"]) as load:
        history.activate(older)
    assert history.wait(older, deadline_s=5).serving
    assert not load.dropped, load.dropped[:5]
    assert [r.state for r in history.revisions()] == ["stopped", "serving"]
    assert history.prune(retain=0, spared=frozenset()) == (newest,)
    # What Pulumi believes to serve is gone; it finds out and makes a new revision, whose number is not used again.
    deployed.must_up("--refresh")
    assert deployed.output("release")["revision"] == str(int(newest) + 1)


def test_the_same_load_catches_a_careless_switch(deployed: LocalStack) -> None:
    """Ending the old server at once, as a restart does, drops requests: the load above can tell."""
    serving = revisions.active(deployed.state)
    assert serving is not None
    with under_load(ports.known(deployed.state)["front"]) as load:
        processes.end(deployed.processes(serving.program.name), timeout_s=0, ask=signal.SIGKILL)
        eventually(lambda: bool(load.dropped), within_s=20, what="a dropped request")
        eventually(lambda: ports.listens(serving.port), within_s=60, what="the supervisor restarted the server")
    assert load.dropped


def test_a_killed_update_leaves_the_old_server_and_the_next_one_clears_up(deployed: LocalStack) -> None:
    """SIGKILL of everything of Pulumi in the middle of a switch: the old revision serves, the next `up` is clean."""
    before = deployed.output("release")["revision"]
    deployed.write_settings(server={"requestTimeout": 110})
    update = deployed.start_up()
    try:
        eventually(
            lambda: any(n > int(before) for n in deployed.server_numbers()),
            within_s=60,
            what=f"a server after {before} starts",
        )
    finally:
        deployed.kill(update)
    active = revisions.active(deployed.state)
    assert active is not None
    assert str(active.number) == before
    deployed.pulumi("cancel", "--yes", "--stack", deployed.name)
    deployed.must_up()
    assert deployed.server_numbers() == [int(deployed.output("release")["revision"])]
