"""Figures that no worker counts: those of the databases, and those of the server's processes."""

from __future__ import annotations

import os
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
import pytest
from mlflow_backend_server.db.addresses import TRACKING_VARIABLE, from_environment
from mlflow_backend_server.db.chains import Chain, Revision
from mlflow_backend_server.figures import processes
from mlflow_backend_server.figures.databases import DatabaseFigures, Part

from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mlflow_backend_server.figures.figure import Figure

    from tests.server.services import Postgres

CHAIN = Chain(
    name="tracking", version_table="alembic_version", revisions=(Revision(id="head", follows=None, title="the first"),)
)
GIB = 1024**3


def values(figures: Iterable[Figure]) -> dict[tuple[str, str], float]:
    """Return the value of each name and label's value."""
    return {(figure.name, figure.label[1] if figure.label else ""): figure.value for figure in figures}


def part_of(postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch) -> Part:
    """Return a database of the test's Postgres, in which MLflow has experiments and runs."""
    monkeypatch.setenv("PGPASSWORD", postgres.password)
    address = from_environment({TRACKING_VARIABLE: postgres.uri(database)}).tracking
    return Part(address=address, chain=CHAIN, tables=("experiments", "runs"))


def test_a_database_is_asked_for_sizes_connections_and_what_was_created(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Postgres's own statistics; a table that is not MLflow's gets no label."""
    postgres.execute(database, "CREATE TABLE experiments (n int)")
    postgres.execute(database, "CREATE TABLE foreigner (n int)")
    postgres.execute(database, "INSERT INTO experiments SELECT generate_series(1, 7)")
    postgres.execute(database, "DELETE FROM experiments WHERE n > 4")
    now = [0.0]
    asked = DatabaseFigures((part_of(postgres, database, monkeypatch),), clock=lambda: now[0])

    def found() -> dict[tuple[str, str], float]:
        now[0] += 60
        asked.refresh()
        return values(asked.figures())

    until(lambda: found().get(("objects_created", "experiments")) == 7, what="the statistics")
    latest = found()
    assert latest["objects", "experiments"] == 4
    assert latest["table_dead_rows", "experiments"] == 3
    assert latest["table_bytes", "experiments"] > 0
    assert not [key for key in latest if "foreigner" in key]
    assert latest["database_size_bytes", "tracking"] > 1024**2
    assert latest["database_connections", "active"] >= 1
    assert latest["database_connections_limit", ""] == 197
    assert latest["schema_at_head", "tracking"] == 0
    postgres.execute(database, "CREATE TABLE alembic_version (version_num text)")
    postgres.execute(database, "INSERT INTO alembic_version VALUES ('head')")
    assert found()["schema_at_head", "tracking"] == 1


def test_a_database_that_does_not_answer_has_no_figures(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old figures would keep an alert quiet; and nobody asks again before the period is over."""
    now = [0.0]
    part = part_of(postgres, database, monkeypatch)
    asked = DatabaseFigures((part,), clock=lambda: now[0])
    asked.refresh()
    assert values(asked.figures())
    postgres.drop(database)
    asked.refresh()
    assert values(asked.figures())
    now[0] = 60.0
    asked.refresh()
    assert not values(asked.figures())


def test_a_locked_table_delays_nobody_for_long(
    postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration may hold a table: the question ends by its deadline, in Postgres too."""
    postgres.execute(database, "CREATE TABLE runs (n int)")
    part = part_of(postgres, database, monkeypatch)
    monkeypatch.setattr("mlflow_backend_server.figures.databases._DEADLINE_S", 0.5)
    asked = DatabaseFigures((part,))
    with (
        closing(psycopg2.connect(dbname=database, **part.address.parameters)) as other,
        other.cursor() as cursor,
    ):
        cursor.execute("LOCK TABLE runs")
        asking = threading.Thread(target=asked.refresh, daemon=True)
        asking.start()
        asking.join(timeout=20)
        assert not asking.is_alive()
        assert not values(asked.figures())
        sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mlflow-backend health'"
        until(lambda: postgres.execute(database, f"{sessions} AND datname = '{database}'") == [(0,)], what="its end")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of metrics of a server that has just started."""
    (tmp_path / "worker-1").touch()
    processes.prepare(tmp_path)
    return tmp_path


def of_processes(folder: Path, running: set[str], group: Path) -> dict[str, float]:
    """Return the figures of a server's processes by name."""
    return {
        name: value for (name, _), value in values(processes.figures(folder, running.__contains__, group=group)).items()
    }


def test_a_worker_that_ended_is_a_death_until_the_server_starts_anew(folder: Path) -> None:
    """A start empties the folder, or a restart would count all workers of the server before."""
    processes.enter(folder)
    (folder / "worker-2").touch()
    alive = of_processes(folder, {str(os.getpid()), "2"}, folder)
    assert (alive["workers"], alive["worker_deaths"]) == (2, 0)
    one_left = of_processes(folder, {"2"}, folder)
    assert (one_left["workers"], one_left["worker_deaths"]) == (1, 1)
    before = one_left["start_time_seconds"]
    os.utime(folder / "started", (before - 60, before - 60))
    processes.prepare(folder)
    anew = of_processes(folder, {"2"}, folder)
    assert (anew["workers"], anew["worker_deaths"]) == (0, 0)
    assert anew["start_time_seconds"] > before - 60


def test_memory_is_that_of_a_container_with_a_limit(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Files that the kernel can drop fill any container; a machine without a limit has no share to warn of."""
    group = tmp_path_factory.mktemp("group")
    assert "memory_bytes" not in of_processes(folder, set(), group)
    (group / "memory.max").write_text(f"{2 * GIB}\n")
    (group / "memory.current").write_text(f"{GIB + 5}\n")
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {GIB}\n")
    (group / "memory.events").write_text("low 0\nmax 7\noom 3\noom_kill 2\n")
    found = of_processes(folder, set(), group)
    assert (found["memory_bytes"], found["memory_limit_bytes"], found["memory_kills"]) == (5, 2 * GIB, 2)
    (group / "memory.max").write_text("max\n")
    assert "memory_bytes" not in of_processes(folder, set(), group)
