"""The switch between revisions under load: no request is dropped, and a careless switch under that load drops some."""

from __future__ import annotations

import http.client
import re
import signal
import threading
import time
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from mlflow_backend.local import credentials, ports, processes, revisions
from mlflow_backend.local.naming import DATABASE, ROLE
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.verify.tracking import PREFIX
from tests.engine.calls import call, eventually

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
    history = LocalPlatform(deployed.state)
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


def test_a_red_candidate_is_never_served(deployed: LocalStack) -> None:
    """A server that answers health and fails a check meets no user; the same update, made good, does."""
    before = deployed.output("release")["revision"]
    deployed.write_settings(server={"requestTimeout": 130, "extraFlags": {"x-frame-options": "DENY"}})
    with watching(deployed) as seen, no_metric_can_be_logged(deployed):
        red = deployed.up()
    assert not red.ok, red.text
    assert re.search(r"FAIL +log-metric", red.text), red.text
    assert f"ended before any user met it. Revision {before} serves on." in red.text
    assert seen.answers == {(200, "SAMEORIGIN")}
    assert deployed.server_numbers() == [int(before)]
    assert before == str(revisions.list_all(deployed.state)[0].number)
    assert deployed.report()["verdict"] == "pass"
    with watching(deployed) as seen:
        deployed.must_up()
    assert seen.answers == {(200, "SAMEORIGIN"), (200, "DENY")}


@dataclass
class Seen:
    """What a client at the public URL was answered: status, and the header by which the servers differ."""

    answers: set[tuple[int | str, str | None]] = field(default_factory=set)


@contextmanager
def watching(stack: LocalStack) -> Iterator[Seen]:
    """Ask at the public URL again and again, each time on a connection of its own."""
    seen, stop, port = Seen(), threading.Event(), ports.known(stack.state)["front"]

    def ask() -> None:
        while not stop.is_set():
            connection = http.client.HTTPConnection(ports.LOOPBACK, port, timeout=60)
            try:
                connection.request("GET", "/api/2.0/mlflow/experiments/search?max_results=1")
                answer = connection.getresponse()
                answer.read()
                seen.answers.add((answer.status, answer.getheader("X-Frame-Options")))
            except (OSError, http.client.HTTPException) as error:
                seen.answers.add((type(error).__name__, None))
            finally:
                connection.close()
            time.sleep(0.02)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seen
        # The last answers are those of what serves in the end.
        time.sleep(0.2)
    finally:
        stop.set()
        thread.join()


@contextmanager
def no_metric_can_be_logged(stack: LocalStack) -> Iterator[None]:
    """Let the database refuse each new metric; everything else works, and every server is healthy."""
    with database(stack) as cursor:
        cursor.execute("ALTER TABLE metrics ADD CONSTRAINT refused CHECK (step < 0) NOT VALID")
    try:
        yield
    finally:
        with database(stack) as cursor:
            cursor.execute("ALTER TABLE metrics DROP CONSTRAINT refused")


@contextmanager
def database(stack: LocalStack) -> Iterator[Any]:
    """Work in MLflow's database as its owner, and commit at the end."""
    port, password = ports.known(stack.state)["database"], credentials.read(stack.state, credentials.DATABASE)
    session = psycopg2.connect(host=ports.LOOPBACK, port=port, user=ROLE, password=password, dbname=DATABASE)
    with closing(session), session, session.cursor() as cursor:
        yield cursor


def test_an_update_killed_while_its_candidate_is_verified_is_cleared_up_by_the_next(deployed: LocalStack) -> None:
    """SIGKILL of everything of Pulumi: the old revision serves, and the next `up` leaves nothing of the candidate."""
    before, url = deployed.output("release")["revision"], deployed.output("trackingUrl")
    deployed.write_settings(server={"requestTimeout": 110})
    # What the verification writes waits for this lock, so that it is met in its middle.
    with database(deployed) as cursor:
        cursor.execute("LOCK TABLE metrics")
        update = deployed.start_up()
        try:
            eventually(lambda: bool(verifications(url)), within_s=120, what="the candidate is verified")
        finally:
            deployed.kill(update)
    active, candidate = revisions.active(deployed.state), revisions.candidate(deployed.state)
    assert active is not None
    assert candidate is not None
    assert str(active.number) == before
    assert deployed.server_numbers() == [active.number, candidate.number]
    deployed.pulumi("cancel", "--yes", "--stack", deployed.name)
    deployed.must_up()
    assert deployed.server_numbers() == [int(deployed.output("release")["revision"])]
    assert candidate.created_at not in {record.created_at for record in revisions.list_all(deployed.state)}
    assert not deployed.state.candidate.exists()


def verifications(url: str) -> list[dict[str, Any]]:
    """Return the experiments of verifications that are there now."""
    found = call(url, "experiments/search", {"max_results": 10, "filter": f"name LIKE '{PREFIX}/%'"})
    return list(found.get("experiments", []))
