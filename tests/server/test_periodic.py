"""Periodic tasks run on exactly one of several servers, whichever of them dies."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from mlflow_backend_server.db import addresses
from mlflow_backend_server.periodic import SWITCH, Candidate, take_over

from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.services import Postgres

HOLDERS = (
    "SELECT a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
    " WHERE l.locktype = 'advisory' AND l.granted AND a.application_name = 'mlflow-backend periodic tasks'"
)


class Server:
    """A candidate whose periodic tasks are a process that sleeps."""

    def __init__(self, postgres: Postgres, database: str) -> None:
        """Stand for election."""
        uri = postgres.uri(database).replace("mlflow@", f"mlflow:{postgres.password}@")
        self.started: list[subprocess.Popen[bytes]] = []
        self.candidate = Candidate(addresses.parse(uri, source="the test"), self._start, poll_s=0.1)
        self.thread = threading.Thread(target=self.candidate.stand)
        self.thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.started.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]))
        return self.started[-1]

    def running(self) -> int:
        """Return how many of its processes live."""
        return sum(child.poll() is None for child in self.started)


@pytest.fixture
def servers(postgres: Postgres, database: str) -> Iterator[list[Server]]:
    """Three servers on one database."""
    made = [Server(postgres, database) for _ in range(3)]
    yield made
    for server in made:
        server.candidate.withdraw()
    for server in made:
        server.thread.join(timeout=60)
        assert server.running() == 0


def elected(servers: list[Server]) -> Server | None:
    """Return the one server that runs them, None if there is not exactly one."""
    running = [server for server in servers if server.running()]
    return running[0] if len(running) == 1 and running[0].running() == 1 else None


def test_one_of_three_runs_them_and_another_takes_over(servers: list[Server], postgres: Postgres) -> None:
    """When it goes, when its process dies, and when the database takes its lock away."""
    first = until(lambda: elected(servers), what="a first election")
    first.candidate.withdraw()
    others = [server for server in servers if server is not first]
    second = until(lambda: elected(others), what="a second election")
    assert first.running() == 0
    second.started[-1].kill()
    third = until(lambda: len(others[0].started) + len(others[1].started) > 1 and elected(others), what="a third one")
    begun = len(third.started)
    (holder,) = postgres.execute("postgres", HOLDERS)[0]
    postgres.execute("postgres", f"SELECT pg_terminate_backend({holder})")
    until(lambda: third.started[begun - 1].poll() is not None, what="the end of tasks without a lock")
    until(lambda: elected(others), what="a fourth election")


@pytest.mark.parametrize("chosen", [{SWITCH: "true"}, {SWITCH: "false"}, {"MLFLOW_SERVER_JOB_EXECUTION_ENGINE": "x"}])
def test_what_the_operator_chose_stands(chosen: dict[str, str]) -> None:
    """MLflow's own switch, and another engine than the one whose tasks are known."""
    assert take_over(chosen) == {}


def test_a_release_without_periodic_tasks_is_left_alone() -> None:
    """Here no MLflow is installed at all."""
    assert take_over({}) == {}
