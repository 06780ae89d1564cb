"""`roots`: in which bucket or at which host rows of MLflow's tables keep their artifacts, counted. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from mlflow_backend_server.db.postgres import connected, tool_errors
from mlflow_backend_server.db.verdicts import ExitCode

if TYPE_CHECKING:
    from mlflow_backend_server.db.addresses import Databases

#: Table -> the column that says where a row's artifacts are (2.9.2 to 3.17.2; the last since 3.0).
COLUMNS = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "model_versions": "source",
    "logged_models": "artifact_location",
}
#: Scheme, and bucket or host. `mlflow-artifacts:/1` and a path name none, and count under an empty name.
ROOT = "^[A-Za-z][A-Za-z0-9+.-]*://[^/]*"


def roots(databases: Databases) -> dict[str, Any]:
    """Return the counts by table and root, for the tables that there are. Raises ToolError."""
    address = databases.tracking
    found: dict[str, dict[str, int]] = {}
    reading = connected(address, purpose="roots")
    with reading as connection, tool_errors(f"Reading {address}"), connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
        )
        there = set(cursor.fetchall())
        for table, column in COLUMNS.items():
            if (table, column) not in there:
                continue
            counting = sql.SQL("SELECT coalesce(substring({} FROM %s), ''), count(*) FROM {} GROUP BY 1")
            cursor.execute(counting.format(sql.Identifier(column), sql.Identifier(table)), (ROOT,))
            found[table] = {str(root): int(count) for root, count in cursor.fetchall()}
    return {"roots": found, "exit_code": int(ExitCode.DONE)}
