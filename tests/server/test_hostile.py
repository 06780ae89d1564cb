"""Real servers of both stacks while hostile, slow and leaving clients are at them."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
import urllib3

from tests.matrices import rows
from tests.server import attacks
from tests.server.servers import has_uvicorn, serving
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.servers import Server
    from tests.server.services import Services

pytestmark = pytest.mark.engine

MEBI = 1024 * 1024
SIZE = 24 * MEBI
#: Both stacks, and both of MLflow's ways to serve an artifact under uvicorn: through Flask, and by FastAPI itself.
VERSIONS = rows(("2.9.2", "3.4.0", "3.17.2"), shown=("2.9.2", "3.17.2"))
GRACE_S = 3
BUDGET = 400 * MEBI
SETTINGS = {"MLFLOW_BACKEND_TEMPORARY_BYTES": str(BUDGET)}
#: More than either stack has threads.
CLIENTS = 60
#: What a balancer waits for a probe's answer (components/mlflow_backend/server/describe.py).
PROBE = urllib3.Timeout(connect=5, read=5)
HEALTH = ("/health", "/health/ready", "/health/components")


@pytest.fixture(scope="module", params=VERSIONS)
def server(
    request: pytest.FixtureRequest, services: Services, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server a version, whose grace period is short."""
    grace = "--timeout-graceful-shutdown" if has_uvicorn(request.param) else "--graceful-timeout"
    with serving(
        services,
        version=request.param,
        package=package,
        folder=tmp_path_factory.mktemp("server"),
        settings=SETTINGS,
        options=f"{grace} {GRACE_S}",
    ) as made:
        yield made


@pytest.fixture(scope="module")
def artifact(server: Server) -> str:
    """The path of a large artifact whose content has lines as any binary file has them."""
    path = "/api/2.0/mlflow-artifacts/artifacts/large/model.bin"
    assert server.send("PUT", path, body=content()).status == 200
    return path


def content() -> bytes:
    """Return the artifact's content."""
    return hashlib.shake_128(b"artifact").digest(MEBI) * (SIZE // MEBI)


def temporary_bytes(server: Server) -> int:
    """Return what is in the server's temporary folder besides its log."""
    total = 0
    # os.walk passes over a folder that the server removes meanwhile; Path.rglob raises.
    for folder, _, names in os.walk(server.folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                total += 0 if name.endswith(".log") else Path(folder, name).stat().st_size
    return total


def cpu_seconds(server: Server) -> float:
    """Return what the server's processes have used."""
    return sum(sum(process.cpu_times()[:2]) for process in members(server.group))


def test_a_download_comes_whole(server: Server, artifact: str) -> None:
    """However its pieces are cut."""
    answer = server.get(artifact)
    assert answer.status == 200
    assert hashlib.sha256(answer.data).digest() == hashlib.sha256(content()).digest()


def test_a_refused_request_with_a_small_body_costs_no_other(server: Server) -> None:
    """A balancer uses a connection again if the answer did not end it: closed so, the next request fails."""
    path = "/api/2.0/mlflow/experiments/search?path=.mlflow-backend-identity.json"
    kept = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    try:
        for method in ("POST", "DELETE", "PATCH") * 20:
            kept.request(method, path, body=b'{"max_results": 1}')
            refused = kept.getresponse()
            assert (refused.status, bool(refused.read())) == (403, True)
            assert refused.getheader("connection") != "close"
            first = kept.sock
            kept.request("GET", "/version")
            answer = kept.getresponse()
            assert (answer.status, answer.read()) == (200, server.version.encode())
            assert kept.sock is first
    finally:
        kept.close()


@pytest.mark.parametrize("attack", attacks.ATTACKS)
def test_health_answers_while_hostile_connections_are_held(server: Server, artifact: str, attack: str) -> None:
    """Whatever other clients do, a probe has its answer within the time that a balancer waits for it."""
    probes = urllib3.PoolManager(retries=False, timeout=PROBE)
    with attacks.held(server, attack, CLIENTS, artifact):
        for _ in range(3):
            for path in HEALTH:
                answer = probes.request("GET", server.url + path, headers={"connection": "close"})
                # Copies for clients that do not read them may fill the budget: that is said, and it is an answer.
                assert answer.status == 200 or (b"temporary" in answer.data and attack == "an answer unread")
    until(lambda: server.get("/version").status == 200, what="the server after the attack")


def test_copies_stay_within_the_budget(server: Server, artifact: str) -> None:
    """More clients ask for an artifact, and read nothing, than the temporary folder has room for copies."""
    with attacks.held(server, "an answer unread", CLIENTS, artifact):
        until(lambda: idle(server), what="all copies made or refused")
        assert temporary_bytes(server) < 1.5 * BUDGET
    until(lambda: temporary_bytes(server) < MEBI, what="the temporary folder")
    assert server.get(artifact).status == 200


@pytest.mark.parametrize("read_bytes", [0, 100_000, SIZE // 2])
def test_aborted_downloads_leave_nothing_and_no_work(server: Server, artifact: str, read_bytes: int) -> None:
    """The copy that MLflow makes of an artifact goes with the client that asked for it."""
    for _ in range(8):
        attacks.aborted_download(server, artifact, read_bytes)
    until(lambda: temporary_bytes(server) < MEBI, what="the temporary folder")
    until(lambda: idle(server), what="no work for clients that left")


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_aborted_uploads_leave_nothing(server: Server, *, chunked: bool) -> None:
    """Neither in the temporary folder nor, as if they were whole, in the store."""
    for _ in range(4):
        attacks.aborted_upload(server, 5 * MEBI, chunked=chunked)
    until(lambda: temporary_bytes(server) < MEBI, what="the temporary folder")
    until(lambda: idle(server), what="no work for clients that left")
    assert server.get(attacks.UPLOAD).status != 200


def idle(server: Server) -> bool:
    """Return whether the server hardly works, over a moment."""
    before, began = cpu_seconds(server), time.monotonic()
    until(lambda: time.monotonic() - began > 0.5, what="a moment")
    return cpu_seconds(server) - before < 0.2


def test_a_server_ends_after_its_grace_period_whoever_is_connected(server: Server, artifact: str) -> None:
    """The last test of the module: no client keeps a revision from ending."""
    with contextlib.ExitStack() as stack:
        for attack in attacks.ATTACKS:
            stack.enter_context(attacks.held(server, attack, 10, artifact))
        assert server.process is not None
        server.process.send(signal.SIGTERM)
        until(lambda: not members(server.group), what="the end of all processes", deadline_s=GRACE_S + 60)


def members(group: int) -> list[psutil.Process]:
    """Return the living processes of a group."""
    found = []
    for process in psutil.process_iter():
        # Any process of the machine may end while it is looked at.
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
