"""The identity of a database: one row in a schema of our own, by which a backend knows its database again.

A schema of its own, because MLflow compares the tables of the default one with its models, and because `pg_dump` takes
it along all the same. `id` is the database's own. `store` is the identity of the artifact store that belongs to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend_server.db.postgres import connected, tool_errors

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address

SCHEMA = "mlflow_backend"
TABLE = f"{SCHEMA}.identity"
#: `sole` lets the table hold one row.
DEFINE = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};"
    f"CREATE TABLE IF NOT EXISTS {TABLE}"
    " (id text NOT NULL, store text, sole boolean PRIMARY KEY DEFAULT true CHECK (sole));"
)
EXISTS = f"SELECT to_regclass('{TABLE}') IS NOT NULL"
READ = f"SELECT id, store FROM {TABLE}"  # noqa: S608 - a constant of ours


def carry_over(replaced: Address, restored: Address) -> None:
    """Give a restored database the identity of the one that it replaces, unless the dump brought one along.

    A dump that is older than the identity brings none, and the backend must be known after its restore all the same.
    Raises ToolError.
    """
    with connected(replaced, purpose="restore") as connection, tool_errors(f"Reading {replaced}"):
        row = read(connection)
    if row is None:
        return
    with connected(restored, purpose="restore") as connection, tool_errors(f"Writing {restored}"):
        if read(connection) is None:
            with connection.cursor() as cursor:
                cursor.execute(DEFINE)
                cursor.execute(f"INSERT INTO {TABLE} (id, store) VALUES (%s, %s)", row)  # noqa: S608 - the same


def read(connection: Connection) -> tuple[str, str | None] | None:
    """Return the identity of the connected database and of its store; None if it has none."""
    with connection.cursor() as cursor:
        cursor.execute(EXISTS)
        if cursor.fetchone() != (True,):
            return None
        cursor.execute(READ)
        row: tuple[str, str | None] | None = cursor.fetchone()
        return row
