"""The database tool on real Postgres: where a database stands, and upgrades that are whole or did not happen."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from tests.matrices import rows
from tests.server.environments import Tool, finish, python
from tests.server.services import POSTGRES_BIN, Postgres, until

if TYPE_CHECKING:
    from collections.abc import Callable

    MakeTool = Callable[..., Tool]

HEADS = {"2.9.2": "acf3f17fdcc7", "3.1.4": "bda7b8c39065", "3.4.0": "71994744cf8e", "3.17.2": "dc11669786a5"}
NEWEST = "3.17.2"


def schema(postgres: Postgres, database: str) -> str:
    """Return the schema as pg_dump prints it, without its random restriction tokens."""
    done = subprocess.run(
        [
            *(POSTGRES_BIN / "pg_dump", "--schema-only", "--no-owner"),
            *("-h", "127.0.0.1", "-p", str(postgres.port), "-U", "mlflow", database),
        ],
        env={**os.environ, "PGPASSWORD": postgres.password},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)


def head(postgres: Postgres, database: str) -> str:
    """Return the revision that the database is at."""
    return str(postgres.execute(database, "SELECT version_num FROM alembic_version")[0][0])


class TableHeld:
    """A transaction that holds a table, so that an upgrade stops in the middle until it is released."""

    def __init__(self, postgres: Postgres, database: str, table: str) -> None:
        """Take the table."""
        self.connection = psycopg2.connect(
            host="127.0.0.1", port=postgres.port, user="mlflow", password=postgres.password, dbname=database
        )
        self.connection.cursor().execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        self.postgres = postgres

    def wait_for_upgrade(self) -> int:
        """Return the process id of the backend whose migration waits for the table."""
        waiting = (
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'mlflow-backend upgrade'"
            " AND wait_event_type = 'Lock' AND wait_event = 'relation'"
        )
        return int(until(lambda: self.postgres.execute("postgres", waiting)[0][0], what="an upgrade that waits"))

    def release(self) -> None:
        """Give the table back."""
        self.connection.close()


@pytest.mark.parametrize("version", rows(HEADS, shown=("2.9.2", NEWEST)))
def test_an_empty_database_is_brought_to_the_head(
    tool: MakeTool, postgres: Postgres, database: str, version: str
) -> None:
    """status, upgrade and check agree on both chains under every supported generation of MLflow."""
    made = tool(version, auth=True)
    assert {e["direction"] for e in made.run("status").report["databases"].values()} == {"empty"}
    assert made.run("check").code == 13
    assert made.run("upgrade").code == 0
    assert head(postgres, database) == HEADS[version]
    checked = made.run("check")
    assert checked.code == 0
    assert {e["direction"] for e in checked.report["databases"].values()} == {"equal"}


@pytest.mark.parametrize("version", ["2.9.2", NEWEST])
def test_the_schema_is_the_one_that_mlflow_itself_makes(
    tool: MakeTool, postgres: Postgres, database: str, version: str
) -> None:
    """An upgrade by this tool leaves exactly what MLflow makes of an empty database when it starts."""
    made = tool(version)
    assert made.run("upgrade").code == 0
    reference = f"{database}_auth"
    program = "import sys; from mlflow.store.db.utils import *; "
    program += (
        "from mlflow.store.db.utils import _initialize_tables as make; make(create_sqlalchemy_engine(sys.argv[1]))"
    )
    subprocess.run(
        [python(version), "-c", program, postgres.uri(reference)],
        env=made.variables(),
        check=True,
        timeout=120,
    )
    assert schema(postgres, database) == schema(postgres, reference)


def test_each_generation_is_upgraded_from_the_one_before(tool: MakeTool, postgres: Postgres, database: str) -> None:
    """Four upgrades in a row on both chains, auth moving to its own version table; a second run changes nothing."""
    for version, expected in HEADS.items():
        made = tool(version, auth=True)
        assert made.run("upgrade").code == 0
        assert head(postgres, database) == expected
        assert made.run("check").code == 0
    assert tool(NEWEST, auth=True).run("upgrade").report["databases"]["tracking"]["applied"] == []


def test_status_says_what_is_pending_and_what_it_touches(tool: MakeTool, postgres: Postgres, database: str) -> None:
    """Pending revisions come with title, class and the rows of the tables that they touch."""
    assert tool("2.9.2").run("upgrade").code == 0
    postgres.execute(database, "INSERT INTO experiments (name) VALUES ('a'), ('b')")
    entry = tool(NEWEST).run("status").report["databases"]["tracking"]
    assert (entry["direction"], entry["head_since_mlflow"]) == ("behind", "2.9.2")
    pending = {each["revision"]: each for each in entry["pending"]}
    assert list(pending)[-1] == HEADS[NEWEST]
    assert pending["5d2d30f0abce"]["class"] == "breaking"
    assert "jobs" in pending["5d2d30f0abce"]["reasons"][0]
    assert pending["867495a8f9d4"] == {
        "revision": "867495a8f9d4", "title": "add trace tables", "class": "safe", "reasons": [], "tables": [],
    }  # fmt: skip
    assert entry["row_counts"]["experiments"] == 2


@pytest.mark.parametrize("command", ["status", "upgrade"])
def test_a_newer_database_is_named_as_such_and_left_alone(
    tool: MakeTool, postgres: Postgres, database: str, command: str
) -> None:
    """Exit 10 for a database that a newer MLflow has upgraded; 14 for one newer than anything known."""
    assert tool(NEWEST).run("upgrade").code == 0
    assert tool("3.4.0").run(command).code == 10
    postgres.execute(database, "UPDATE alembic_version SET version_num = 'feedfacefeed'")
    refused = tool(NEWEST).run(command)
    assert refused.code == 14
    assert "feedfacefeed" in str(refused.report)
    assert head(postgres, database) == "feedfacefeed"


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('0123456789ab')",
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('8606fa83a998')",
        "CREATE TABLE runs (id int)",
        "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('a'), ('b')",
    ],
    ids=["another application", "mlflow's other chain", "a table of that name", "two heads"],
)
def test_the_database_of_another_application_is_refused(
    tool: MakeTool, postgres: Postgres, database: str, statements: str
) -> None:
    """Exit 11, and nothing is created in it."""
    postgres.execute(database, statements)
    before = schema(postgres, database)
    assert tool(NEWEST).run("upgrade").code == 11
    assert schema(postgres, database) == before


def test_what_cannot_be_reached_or_is_no_postgres_has_a_code_of_its_own(tool: MakeTool, postgres: Postgres) -> None:
    """12 for a wrong port, password or name; 11 for SQLite; 2 for nothing at all; never the password."""
    secret = "s3cret%40x"
    for changes, code in (
        ({"MLFLOW_BACKEND_STORE_URI": "postgresql://mlflow@127.0.0.1:1/mlflow"}, 12),
        ({"PGPASSWORD": secret}, 12),
        ({"MLFLOW_BACKEND_STORE_URI": postgres.uri("missing")}, 12),
        ({"MLFLOW_BACKEND_STORE_URI": f"postgresql://mlflow:{secret}@127.0.0.1:{postgres.port}/mlflow"}, 12),
        ({"MLFLOW_BACKEND_STORE_URI": f"mysql://u:{secret}@h/d"}, 11),
        ({"MLFLOW_BACKEND_STORE_URI": "sqlite:///x.db"}, 11),
        ({"MLFLOW_BACKEND_STORE_URI": f"postgresql://mlflow:a/{secret}@127.0.0.1:x/mlflow"}, 2),
        ({"MLFLOW_BACKEND_STORE_URI": ""}, 2),
    ):
        outcome = tool(NEWEST, **changes).run("status")
        assert outcome.code == code, changes
        assert outcome.report["fix"]
        assert secret not in f"{outcome.report}{outcome.words}"


def test_of_two_upgrades_one_writes_and_the_other_waits(tool: MakeTool, postgres: Postgres, database: str) -> None:
    """Started at once on an old database, both end well, and every revision was applied once."""
    assert tool("2.9.2").run("upgrade").code == 0
    held = TableHeld(postgres, database, "experiments")
    both = [tool(NEWEST).start("upgrade") for _ in range(2)]
    held.wait_for_upgrade()
    impatient = tool(NEWEST).run("upgrade", "--wait", "0")
    assert impatient.code == 16
    assert "mlflow-backend upgrade" in impatient.words
    held.release()
    outcomes = _finish_all(both)
    assert [outcome.code for outcome in outcomes] == [0, 0]
    applied = sorted(len(outcome.report["databases"]["tracking"]["applied"]) for outcome in outcomes)
    assert applied == [0, 44]
    assert any("waiting" in outcome.words for outcome in outcomes)


def test_an_upgrade_killed_half_way_leaves_the_old_schema_and_can_be_run_again(
    tool: MakeTool, postgres: Postgres, database: str
) -> None:
    """After SIGKILL the lock lives as long as the killed writer's last statement, then all is as before."""
    assert tool("2.9.2").run("upgrade").code == 0
    before = schema(postgres, database)
    held = TableHeld(postgres, database, "experiments")
    victim = tool(NEWEST).start("upgrade")
    held.wait_for_upgrade()
    os.killpg(victim.pid, signal.SIGKILL)
    victim.communicate(timeout=30)
    assert tool(NEWEST).run("upgrade", "--wait", "0").code == 16
    held.release()
    until(lambda: _writers(postgres) == 0, what="the killed upgrade's session to end")
    assert schema(postgres, database) == before
    assert tool(NEWEST).run("upgrade").code == 0
    assert head(postgres, database) == HEADS[NEWEST]


def test_a_lost_connection_is_worth_retrying(tool: MakeTool, postgres: Postgres, database: str) -> None:
    """Exit 15 where the database ends the session in the middle, and the schema is the old one."""
    assert tool("2.9.2").run("upgrade").code == 0
    held = TableHeld(postgres, database, "experiments")
    victim = tool(NEWEST).start("upgrade")
    backend = held.wait_for_upgrade()
    postgres.execute("postgres", f"SELECT pg_terminate_backend({backend})")
    assert finish(victim).code == 15
    held.release()
    assert head(postgres, database) == HEADS["2.9.2"]


@pytest.mark.slow
def test_a_database_of_100_000_runs_is_upgraded_from_the_oldest_to_the_newest(
    tool: MakeTool, postgres: Postgres, database: str, record_property: Callable[[str, Any], None]
) -> None:
    """No run, parameter or metric is lost; the time is reported, not judged."""
    assert tool("2.9.2").run("upgrade").code == 0
    postgres.execute(database, _HUNDRED_THOUSAND)
    outcome = tool(NEWEST).run("upgrade")
    assert outcome.code == 0
    seconds = outcome.report["databases"]["tracking"]["seconds"]
    record_property("upgrade_seconds", seconds)
    print(f"100,000 runs, 2.9.2 to {NEWEST}: {seconds} s")
    counted = postgres.execute(
        database,
        "SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM params), (SELECT count(*) FROM metrics),"
        " (SELECT count(*) FROM tags), (SELECT count(*) FROM experiments)",
    )
    assert counted == [(100_000, 200_000, 300_000, 100_000, 100)]
    assert tool(NEWEST).run("check").code == 0


def _finish_all(processes: list[subprocess.Popen[str]]) -> list[Any]:
    """Wait for both at once, so that neither blocks on a full pipe."""
    outcomes: list[Any] = []
    threads = [threading.Thread(target=lambda p=process: outcomes.append(finish(p))) for process in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def _writers(postgres: Postgres) -> int:
    statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'mlflow-backend upgrade'"
    return int(postgres.execute("postgres", statement)[0][0])


_HUNDRED_THOUSAND = """
    INSERT INTO experiments (name, artifact_location, lifecycle_stage, creation_time, last_update_time)
        SELECT 'e' || i, 's3://mlflow/' || i, 'active', 1, 1 FROM generate_series(1, 100) i;
    INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, lifecycle_stage, experiment_id,
                      artifact_uri)
        SELECT md5(i::text), 'r' || i, 'LOCAL', 'u', 'FINISHED', i, 'active',
               (SELECT min(experiment_id) FROM experiments) + i % 100, 's3://mlflow/' || i
        FROM generate_series(1, 100000) i;
    INSERT INTO params SELECT 'p' || k, 'v', md5(i::text) FROM generate_series(1, 100000) i, generate_series(1, 2) k;
    INSERT INTO tags SELECT 't', 'v', md5(i::text) FROM generate_series(1, 100000) i;
    INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
        SELECT 'm' || k, k, 1, md5(i::text), 0, false FROM generate_series(1, 100000) i, generate_series(1, 3) k;
    INSERT INTO latest_metrics (key, value, timestamp, step, is_nan, run_uuid)
        SELECT key, value, timestamp, step, is_nan, run_uuid FROM metrics;
"""
