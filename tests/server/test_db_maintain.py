"""What the database tool removes for good and keeps: real Postgres, MLflow's own functions, answers of a proxy."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.loopback_http import Handler, LoopbackServer
from tests.matrices import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.server.environments import Tool
    from tests.server.services import Postgres

    MakeTool = Callable[..., Tool]

# ruff: noqa: S608 - every value is the test's own

DAY_MS = 24 * 3600 * 1000
PREFIX = "_ours/"


@contextmanager
def proxy(answers: dict[str, int], meanwhile: Callable[[], object] = list) -> Iterator[tuple[str, list[str]]]:
    """Serve what deletes artifacts: 200, or by a part of the path another status. Yields its address and the paths.

    `meanwhile` is done before each answer.
    """
    asked: list[str] = []

    class Deleting(Handler):
        def reply(self) -> None:
            meanwhile()
            asked.append(self.path.rstrip("/").partition("/artifacts/")[2])
            self.answer(next((code for part, code in answers.items() if part in self.path), 200), b"{}")

    with LoopbackServer(Deleting) as server:
        yield server.url, asked


def add(postgres: Postgres, database: str, experiment: int, name: str, *, deleted_days: float | None = None) -> None:
    """Add an experiment, which was deleted so long ago."""
    stage = "active" if deleted_days is None else "deleted"
    at = int(time.time() * 1000 - (deleted_days or 0) * DAY_MS)
    postgres.execute(
        database,
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, last_update_time)"
        f" VALUES ({experiment}, '{name}', 'mlflow-artifacts:/{experiment}', '{stage}', {at})",
    )


def log(postgres: Postgres, database: str, experiment: int, run: str, *, deleted_days: float | None = None) -> None:
    """Add a run, which was deleted so long ago."""
    stage, at = (
        ("active", "NULL") if deleted_days is None else ("deleted", int(time.time() * 1000 - deleted_days * DAY_MS))
    )
    postgres.execute(
        database,
        "INSERT INTO runs (run_uuid, experiment_id, artifact_uri, lifecycle_stage, deleted_time, status, source_type)"
        f" VALUES ('{run}', {experiment}, 'mlflow-artifacts:/{experiment}/{run}/artifacts', '{stage}', {at},"
        " 'FINISHED', 'LOCAL')",
    )
    postgres.execute(
        database,
        f"INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) VALUES ('loss', 1, 1, '{run}', 0, false)",
    )


def runs(postgres: Postgres, database: str) -> set[str]:
    """Return the runs that are left."""
    return {run for (run,) in postgres.execute(database, "SELECT run_uuid FROM runs")}


@pytest.mark.parametrize("version", rows(["3.17.2", "2.9.2", "3.1.4", "3.4.0", "3.10.1"], shown=["3.17.2"]))
def test_what_was_deleted_long_ago_goes_and_what_cannot_be_removed_is_named(
    version: str, tool: MakeTool, postgres: Postgres, database: str
) -> None:
    """Files that are gone already end nothing; what a model needs, what a store keeps and what is new stays."""
    assert tool(version).run("upgrade").code == 0
    add(postgres, database, 5, "used")
    add(postgres, database, 6, "deleted", deleted_days=40)
    add(postgres, database, 7, f"{PREFIX}left", deleted_days=0)
    add(postgres, database, 8, "deleted today", deleted_days=0)
    for experiment, run, days in (
        (5, "old", 31), (5, "gone", 31), (5, "locked", 31), (5, "model", 31), (5, "recent", 1), (5, "active", None),
        (5, "zz", 31), (6, "within", 40), (7, "leftover", 0), (8, "today", 0),
    ):  # fmt: skip
        log(postgres, database, experiment, run, deleted_days=days)
    postgres.execute(database, "INSERT INTO registered_models (name) VALUES ('fraud')")
    source = "'mlflow-artifacts:/5/model/artifacts/model'"
    postgres.execute(
        database,
        "INSERT INTO model_versions (name, version, source, run_id, current_stage)"
        f" VALUES ('fraud', 1, {source}, 'model', 'None')",
    )
    chosen = ("maintain", "--days", "30", "--at-once", PREFIX)

    def restore() -> None:
        postgres.execute(database, "UPDATE runs SET lifecycle_stage = 'active' WHERE run_uuid = 'zz'")

    with proxy({"/gone/": 404, "/locked/": 500}, restore) as (url, asked):
        planned = tool(version, MLFLOW_TRACKING_URI=url).run(*chosen, "--dry-run")
        assert (planned.code, asked) == (0, [])
        done = tool(version, MLFLOW_TRACKING_URI=url).run(*chosen)
    assert done.code == 0, done.report
    assert runs(postgres, database) == {"locked", "model", "recent", "active", "today", "zz"}
    assert done.report["removed"] == {"runs": 4, "logged models": 0, "experiments": 2}
    assert set(done.report["kept"]) == {"run locked", "run model", "run zz"}
    assert not any("zz" in path for path in asked), "somebody restored it meanwhile"
    assert "fraud" in done.report["kept"]["run model"]
    assert planned.report["removed"]["runs"] == 6, "what a store keeps, and somebody restores, is not known before"
    # By MLflow's own store a prefix: of experiment 6 it would be that of 60, too.
    assert {"6", "7"}.isdisjoint(asked)
    assert {"6/models", "6/traces", "5/old/artifacts"} <= set(asked)
    assert [(table["name"], table["dead_rows"]) for table in done.report["databases"]["tracking"]["tables"]]


@pytest.mark.full
def test_a_store_that_is_away_is_not_asked_for_each_run(tool: MakeTool, postgres: Postgres, database: str) -> None:
    """Each question costs a time-out; all of it is left for the next time, and nothing is forgotten."""
    assert tool("3.17.2").run("upgrade").code == 0
    add(postgres, database, 5, "used")
    for number in range(8):
        log(postgres, database, 5, f"r{number}", deleted_days=31)
    with proxy({"/": 503}) as (url, asked):
        done = tool("3.17.2", MLFLOW_TRACKING_URI=url).run("maintain", "--days", "30", "--at-once", PREFIX)
    assert done.code == 0
    assert len(done.report["kept"]) == len(runs(postgres, database)) == 8
    assert len(set(asked)) == 3
