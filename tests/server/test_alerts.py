"""Alerts that fire on a real server with its fault injected, as a real Prometheus sees it, and end with the fault."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg2
import pytest

from mlflow_backend.local import whole
from mlflow_backend.monitoring import ALERTS, dashboard
from mlflow_backend.monitoring.scraping import own_labels
from tests import apt
from tests.server.services import PROJECT, Services, until
from tests.server.watched import STACK, TEMPORARY_BYTES, WORKERS, Watched, watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.full]

#: Figures of the database are a minute old at most, and an alert ends when its window, a minute at most, has passed.
DEADLINE_S = 150
WITHOUT_FAULT = {"OutOfMemory", "MemoryHigh", "CertificateEnds"}
WITHOUT_DATA = {"FiguresMissing", *WITHOUT_FAULT}


@pytest.fixture(scope="module")
def watched(services: Services, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A healthy server of two workers, watched."""
    if (reason := apt.why_missing(("prometheus",))) is not None:
        pytest.skip(reason)
    with watching(services, package, tmp_path_factory.mktemp("watched"), hurry=True) as found:
        until(lambda: found.value("mlflow_backend_workers") == WORKERS, what="all workers", deadline_s=DEADLINE_S)
        quiet(found)
        yield found


def quiet(watched: Watched) -> None:
    """Wait until nothing fires."""
    until(lambda: not watched.firing(), what="quiet", deadline_s=DEADLINE_S)


def fires(watched: Watched, name: str) -> dict[str, str]:
    """Wait until an alert fires, and return its labels."""
    return until(lambda: watched.firing().get(name), what=name, deadline_s=DEADLINE_S) or {}


def test_a_worker_that_died_fires_and_is_forgotten(watched: Watched) -> None:
    """The others answer, so nobody else notices."""
    watched.end_worker()
    assert fires(watched, "WorkerDied")["severity"] == "warning"
    until(lambda: watched.value("mlflow_backend_workers") == WORKERS, what="all workers", deadline_s=DEADLINE_S)
    quiet(watched)


def test_a_store_that_is_away_fires_by_its_name_and_by_the_requests_that_fail(watched: Watched) -> None:
    """A real deployment was degraded for weeks, unseen."""
    watched.server.services.store.process.stop()
    try:
        assert fires(watched, "ComponentDegraded")["component"] == "artifacts"
        line = '"kind":"component","component":"artifacts","state":"failed"'
        until(lambda: line in watched.server.log, what="a line for clouds", deadline_s=DEADLINE_S)

        def failing() -> bool:
            for number in range(5):
                watched.server.get(f"/api/2.0/mlflow-artifacts/artifacts/none/{number}")
            return "RequestsFail" in watched.firing()

        until(failing, what="RequestsFail", deadline_s=DEADLINE_S)
    finally:
        watched.server.services.store.start()
    quiet(watched)


def test_every_graph_has_data(watched: Watched) -> None:
    """A query on a figure that was renamed draws an empty graph for ever, and its alert is quiet.

    Memory has figures in a container with a limit alone, and figures are missing on a fault alone. Requests that failed
    were made by the test of the store, before this one, and are in their figures for five minutes.
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


def test_a_hung_database_fires_and_so_do_the_figures_that_it_does_not_give(watched: Watched) -> None:
    """It takes connections and answers none, which a probe of its port would not see."""
    postgres = watched.server.services.postgres.process
    postgres.send(signal.SIGSTOP)
    try:
        assert fires(watched, "DatabaseUnreachable")["severity"] == "critical"
        fires(watched, "FiguresMissing")
    finally:
        postgres.send(signal.SIGCONT)
    quiet(watched)


def test_a_table_that_somebody_has_locked_makes_requests_slow(watched: Watched) -> None:
    """Every answer is right, and nobody waits for it."""
    postgres = watched.server.services.postgres
    statement = "BEGIN; LOCK TABLE experiments IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT"

    def slow() -> bool:
        lock = threading.Thread(target=postgres.execute, args=(watched.server.database, statement))
        lock.start()
        until(lambda: "experiments" in _locked(watched), what="the lock")
        answer = watched.server.get("/api/2.0/mlflow/experiments/search?max_results=1")
        lock.join()
        assert answer.status == 200
        return "RequestsSlow" in watched.firing()

    until(slow, what="RequestsSlow", deadline_s=DEADLINE_S)
    quiet(watched)


def _locked(watched: Watched) -> set[str]:
    query = "SELECT relation::regclass::text FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
    return {str(row[0]) for row in watched.server.services.postgres.execute(watched.server.database, query)}


def test_connections_of_somebody_else_fire(watched: Watched) -> None:
    """The server's own pool is within its budget; what others hold is what runs out."""
    postgres = watched.server.services.postgres
    address = {"host": "127.0.0.1", "port": postgres.port, "user": "mlflow", "password": postgres.password}
    with ExitStack() as held:
        for _ in range(165):
            held.enter_context(closing(psycopg2.connect(**address, dbname="postgres", connect_timeout=5)))
        fires(watched, "ConnectionsHigh")
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


def test_temporary_space_that_is_used_up_fires(watched: Watched) -> None:
    """What the server copies stays there until an upload has ended."""
    (own,) = watched.server.folder.glob("mlflow-backend-server-*")
    filled = own / "copied"
    with filled.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, TEMPORARY_BYTES * 95 // 100)
    try:
        fires(watched, "TemporarySpaceLow")
    finally:
        filled.unlink()
    quiet(watched)


def test_the_disk_of_the_stack_fires_by_what_grows_on_it(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    """First artifacts that grow, then the disk that they fill: eight real megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    # Artifacts are measured every five minutes, because each file is looked at.
    monkeypatch.setattr(whole, "_MEASURED_S", 1)
    store = watched.state.store
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(store)], check=True, timeout=10)
    try:
        until(lambda: watched.value("sum(mlflow_backend_disk_bytes)") == 8 << 20, what="the disk")
        artifacts = store / "mlflow/artifacts"
        artifacts.mkdir(parents=True)
        (artifacts / "checkpoint").write_bytes(bytes(2 << 20))
        fires(watched, "ArtifactsGrow")
        assert "DiskLow" not in watched.firing()
        (artifacts / "another").write_bytes(bytes((6 << 20) - (256 << 10)))
        fires(watched, "DiskLow")
    finally:
        subprocess.run(["umount", "--lazy", str(store)], check=True, timeout=10)
    until(lambda: set(watched.firing()) <= {"ArtifactsGrow"}, what="a disk with room", deadline_s=DEADLINE_S)


@pytest.mark.parametrize(
    ("alert", "work", "hours", "exit_code"),
    [
        ("VerificationOld", "verification", 4, 0),
        ("BackupOld", "backup", 27, 0),
        ("DrillOld", "drill", 8 * 24 + 1, 0),
        ("ScheduledWorkFailed", "drill", 0, 4),
    ],
)
def test_scheduled_work_that_is_old_or_failed_fires(
    watched: Watched, alert: str, work: str, hours: int, exit_code: int
) -> None:
    """The record is written as the timer writes it; time is what cannot be injected."""
    moment = datetime.now(UTC) - timedelta(hours=hours)
    watched.write_record(work, since=moment, started_at=moment, ended_at=moment, exit_code=exit_code)
    try:
        labels = fires(watched, alert)
        assert labels.get("work", work) == work
    finally:
        watched.write_record(work)
    until(lambda: alert not in watched.firing(), what="quiet", deadline_s=DEADLINE_S)


def test_a_red_verification_fires(watched: Watched) -> None:
    """The report is the file that `make verify` and an update write."""
    watched.write_verdict("fail")
    try:
        fires(watched, "VerificationRed")
    finally:
        watched.write_verdict("pass")
    until(lambda: "VerificationRed" not in watched.firing(), what="quiet", deadline_s=DEADLINE_S)


def test_a_server_that_ended_is_down_and_its_return_is_a_restart(watched: Watched) -> None:
    """The last test with a fault, because whoever comes next waits for the server."""
    watched.server.stop()
    assert fires(watched, "ServerDown")["severity"] == "critical"
    watched.server.start()
    fires(watched, "ServerRestarted")


def test_each_alert_has_a_fault_here_or_is_said_to_have_none() -> None:
    """The page says which alert nobody has seen on a real server, and why."""
    here = (PROJECT / "tests/server/test_alerts.py").read_text(encoding="utf-8")
    assert {alert.name for alert in ALERTS if f'"{alert.name}"' not in here.partition("@pytest.fixture")[2]} == (
        WITHOUT_FAULT
    )
    page = (PROJECT / "docs/runbooks/monitoring.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"(?m)^Three alerts .*$", page)
    assert set(re.findall(r"`(\w+)`", said)) == WITHOUT_FAULT
