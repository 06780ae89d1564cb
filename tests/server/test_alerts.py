"""Alerts that fire on a real server with its fault injected, as a real Prometheus sees it, and end with the fault."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.codec import to_document
from mlflow_backend.local import timed, whole
from mlflow_backend.local.state import StateDir
from mlflow_backend.monitoring import ALERTS, dashboard, rules
from mlflow_backend.monitoring.scraping import RULES, TARGETS, configuration, own_labels, targets
from mlflow_backend.schedules import WorkRecord
from tests import apt
from tests.server.servers import Server, pool, serving
from tests.server.services import Process, Services, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.full]

STACK = "watched"
#: Figures of the database are a minute old at most, and an alert ends when its window has passed.
DEADLINE_S = 120
WORKERS = 2
WITHOUT_DATA = {"FiguresMissing", "OutOfMemory", "MemoryHigh"}


def hurried(document: dict[str, Any]) -> dict[str, Any]:
    """Return the rules with seconds for minutes, and without patience: what they say of the figures is the same."""
    for rule in document["groups"][0]["rules"]:
        rule |= {"for": "0s", "expr": re.sub(r"\[\d+m\]", "[15s]", rule["expr"])}
    return document


class Watched:
    """A server, and the Prometheus that watches it."""

    def __init__(self, server: Server, url: str) -> None:
        """Name both."""
        self.server, self._url = server, url

    def ask(self, path: str, **query: str) -> Any:
        """Return what Prometheus answers."""
        return json.loads(pool().request("GET", f"{self._url}/api/v1/{path}", fields=query).data)["data"]

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the alerts that fire, by name, with their labels."""
        return {
            each["labels"]["alertname"].removeprefix("Mlflow"): each["labels"]
            for each in self.ask("alerts")["alerts"]
            if each["state"] == "firing"
        }

    def value(self, query: str) -> float | None:
        """Return the value of a query with one series."""
        found = self.ask("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None


@contextmanager
def figures_of_a_stack(folder: Path) -> Iterator[str]:
    """Serve what no server knows, of a stack whose verification and scheduled work went well; yields the address."""
    state, now = StateDir(folder / STACK), datetime.now(UTC)
    done = to_document(WorkRecord(since=now, started_at=now, ended_at=now, exit_code=0))
    works = [timed.Work(name=name, schedule="0 2 * * *", commands=()) for name in ("verification", "backup", "drill")]
    program = timed.program(state, folder, map(to_document, works))
    for path, document in (
        (state.report, {"verdict": "pass"}),
        (state.timer, {work.name: done for work in works}),
        (state.programs / f"{program.name}.json", to_document(program)),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    state.store.mkdir()
    with whole.serving(state):
        yield whole.address(state)


@contextmanager
def prometheus(folder: Path, address: str, stack: str) -> Iterator[str]:
    """Run a Prometheus that asks each second, with the hurried rules; yields its address."""
    folder.mkdir()
    (folder / RULES).write_text(json.dumps(hurried(rules(own_labels(STACK)))))
    (folder / TARGETS).write_text(json.dumps(targets(STACK, [address], whole=[stack])))
    (folder / "prometheus.json").write_text(json.dumps(configuration(interval_s=1)))
    listens = f"127.0.0.1:{free_port()}"
    process = Process(
        arguments=[
            "prometheus",
            f"--config.file={folder / 'prometheus.json'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={listens}",
        ],
        log=folder / "log",
    )
    process.start()
    try:
        yield f"http://{listens}"
    finally:
        process.stop(signal.SIGTERM)


@pytest.fixture(scope="module")
def watched(services: Services, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A healthy server of two workers, watched."""
    if (reason := apt.why_missing(("prometheus",))) is not None:
        pytest.skip(reason)
    port, folder = str(free_port()), tmp_path_factory.mktemp("watched")
    with (
        serving(
            services,
            version="3.17.2",
            package=package,
            folder=folder,
            workers=WORKERS,
            settings={"MLFLOW_BACKEND_METRICS_PORT": port},
        ) as server,
        figures_of_a_stack(folder) as stack,
        prometheus(folder / "prometheus", f"127.0.0.1:{port}", stack) as url,
    ):
        found = Watched(server, url)
        quiet(found)
        yield found


def quiet(watched: Watched) -> None:
    """Wait until the server is seen whole, and nothing fires."""
    until(lambda: watched.value("mlflow_backend_workers") == WORKERS, what="all workers", deadline_s=DEADLINE_S)
    until(lambda: not watched.firing(), what="quiet", deadline_s=DEADLINE_S)


def fires(watched: Watched, name: str) -> dict[str, str]:
    """Wait until an alert fires, and return its labels."""
    return until(lambda: watched.firing().get(name), what=name, deadline_s=DEADLINE_S) or {}


def test_a_worker_that_died_fires_and_is_forgotten(watched: Watched) -> None:
    """The others answer, so nobody else notices."""
    line = [each for each in watched.server.log.splitlines() if '"kind":"access"' in each][-1]
    os.kill(json.loads(line)["process"], signal.SIGKILL)
    assert fires(watched, "WorkerDied")["severity"] == "warning"
    quiet(watched)


def test_a_store_that_is_away_fires_by_its_name_and_by_the_requests_that_fail(watched: Watched) -> None:
    """A real deployment was degraded for weeks, unseen."""
    watched.server.services.store.process.stop()
    try:
        assert fires(watched, "ComponentDegraded")["component"] == "artifacts"

        def failing() -> bool:
            for number in range(5):
                watched.server.get(f"/api/2.0/mlflow-artifacts/artifacts/none/{number}")
            return "RequestsFail" in watched.firing()

        until(failing, what="RequestsFail", deadline_s=DEADLINE_S)
    finally:
        watched.server.services.store.start()
    quiet(watched)


def test_a_hung_database_fires(watched: Watched) -> None:
    """It takes connections and answers none, which a probe of its port would not see."""
    postgres = watched.server.services.postgres.process
    postgres.send(signal.SIGSTOP)
    try:
        assert fires(watched, "DatabaseUnreachable")["severity"] == "critical"
    finally:
        postgres.send(signal.SIGCONT)
    quiet(watched)


def test_another_schema_fires(watched: Watched) -> None:
    """Somebody restored or migrated the database by hand."""
    postgres, database = watched.server.services.postgres, watched.server.database
    (head,) = postgres.execute(database, "SELECT version_num FROM alembic_version")[0]
    postgres.execute(database, "UPDATE alembic_version SET version_num = 'newer'")
    try:
        assert fires(watched, "SchemaNotAtHead")["chain"] == "tracking"
    finally:
        postgres.execute(database, f"UPDATE alembic_version SET version_num = '{head}'")  # noqa: S608 - our own
    quiet(watched)


def test_every_graph_has_data(watched: Watched) -> None:
    """A query on a figure that was renamed draws an empty graph for ever, and its alert is quiet.

    Memory has figures in a container with a limit alone, and figures are missing on a fault alone. Requests that failed
    were made by the test of the store.
    """
    assert watched.server.get("/api/2.0/mlflow/experiments/search?max_results=1").status == 200
    panels = dashboard(own_labels(STACK))["panels"]
    queries = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]

    def drawn() -> bool:
        empty = {title for title, query in queries if not watched.ask("query", query=query)["result"]}
        assert empty <= WITHOUT_DATA
        return True

    assert len(queries) > len(ALERTS) + 10
    until(drawn, what="data in each graph", deadline_s=DEADLINE_S)


def test_a_server_that_ended_is_down(watched: Watched) -> None:
    """The last test of the file, because it ends the server."""
    watched.server.stop()
    assert fires(watched, "ServerDown")["severity"] == "critical"
