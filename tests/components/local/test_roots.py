"""Where rows of MLflow's tables keep their artifacts, counted in a real database of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import credentials, schema, services
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Supervisor

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A stack in which nothing was started."""
    made = StateDir(tmp_path / "stack")
    credentials.ensure(made)
    return made


def test_rows_are_counted_by_root_in_the_tables_that_there_are(state: StateDir) -> None:
    """A bucket and a host are roots; what the server proxies names none; a table of another version is left out."""
    assert schema.roots(state) == {}
    try:
        Supervisor(state).start()
        services.apply(state, "database", {"maxConnections": 20})
        with schema.reading(state) as cursor:
            cursor.execute(
                "CREATE TABLE experiments AS SELECT unnest(ARRAY['mlflow-artifacts:/1', 's3://old/1', 's3://old/2', "
                "'ftp://files.example/x', NULL]) AS artifact_location; CREATE TABLE runs (artifact_uri text); "
                "CREATE TABLE model_versions (other text)"
            )
        assert schema.roots(state) == {"experiments": {"": 2, "s3://old": 2, "ftp://files.example": 1}, "runs": {}}
    finally:
        Supervisor(state).shutdown(timeout_s=30)
