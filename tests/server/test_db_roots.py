"""Where rows of MLflow's tables keep their artifacts, counted in a real database by the tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.environments import Tool
    from tests.server.services import Postgres


def test_rows_are_counted_by_root_in_the_tables_that_there_are(
    tool: Callable[..., Tool], postgres: Postgres, database: str
) -> None:
    """A bucket and a host are roots; what the server proxies names none; a table of another version is left out."""
    newest = tool("3.17.2")
    assert newest.run("roots").report["roots"] == {}
    postgres.execute(
        database,
        "CREATE TABLE experiments AS SELECT unnest(ARRAY['mlflow-artifacts:/1', 's3://old/1', 's3://old/2', "
        "'ftp://files.example/x', NULL]) AS artifact_location; CREATE TABLE runs (artifact_uri text); "
        "CREATE TABLE model_versions (other text)",
    )
    counted = newest.run("roots")
    assert counted.code == 0
    assert counted.report["roots"] == {"experiments": {"": 2, "s3://old": 2, "ftp://files.example": 1}, "runs": {}}
