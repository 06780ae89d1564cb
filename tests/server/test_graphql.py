"""GraphQL with API keys: a read key runs every query of every served version, and no mutation, however it is sent."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from mlflow_backend_server.access.routes import table_of

from mlflow_backend.environments import locked_versions
from tests.matrices import rows
from tests.server.environments import SOURCE, python
from tests.server.services import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

DRIVER = PROJECT / "tests" / "server" / "graphql_driver.py"
VERSIONS = [version for version in locked_versions() if any(r.template == "/graphql" for _, r in table_of(version))]
_DEADLINE_S = 200
_REFUSED = 403


@pytest.fixture(scope="module", params=rows(VERSIONS, shown=(VERSIONS[0], VERSIONS[-1])))
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What a read key and a write key got for each request of one version."""
    folder: Path = tmp_path_factory.mktemp("graphql")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "_MLFLOW"))}
    done = subprocess.run(
        [python(request.param), "-W", "ignore", DRIVER, folder],
        env={**clean, "PYTHONPATH": f"{SOURCE}{os.pathsep}{PROJECT}"},
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"kind"')]


@pytest.mark.slow
def test_a_read_key_runs_no_mutation(asked: list[dict[str, Any]]) -> None:
    """Refused by 403 whatever names it and however it is sent, though a write key runs it in each of these forms."""
    mutations = [row for row in asked if row["kind"] == "mutation"]
    assert {row["field"] for row in mutations} >= {"mlflowSearchRuns"}
    assert not [row for row in mutations if row["read executed"]]
    run = [row for row in mutations if row["write executed"]]
    assert [row for row in run if row["read"] != _REFUSED] == []
    # The forms that MLflow understands, each of which was tried.
    assert {row["transport"] for row in run} >= {"POST application/json", "GET with a body", "utf-16", "twice, last"}
    assert len({row["document"] for row in run}) > 8


@pytest.mark.slow
def test_a_read_key_runs_every_query(asked: list[dict[str, Any]]) -> None:
    """In each form in which a write key runs it, with the same answer."""
    queries = [row for row in asked if row["kind"] == "query" and row["write executed"]]
    assert {row["field"] for row in queries} >= {"mlflowGetRun", "mlflowGetExperiment"}
    assert [
        row for row in queries if (row["read"], row["read executed"]) != (row["write"], row["write executed"])
    ] == []
