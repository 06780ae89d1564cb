"""`maintain`: removes for good what was deleted long ago, vacuums, and says how large tables and indexes are.

All of it beside servers that go on: VACUUM takes no lock that a request waits for, and a table that somebody else has
locked is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from mlflow_backend_server.db import lock
from mlflow_backend_server.db.chains import installed_package, read_chains
from mlflow_backend_server.db.postgres import connected, tool_errors
from mlflow_backend_server.db.removal import Removal
from mlflow_backend_server.db.status import refuse_unusable, schema_position
from mlflow_backend_server.db.verdicts import Direction, ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address, Databases
    from mlflow_backend_server.db.removal import Choice

_LARGEST = 10
_SIZE = "SELECT pg_database_size(current_database())"
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tableowner = current_user"
_LARGEST_TABLES = """
    SELECT relname, pg_total_relation_size(relid), n_live_tup, n_dead_tup FROM pg_stat_user_tables
    WHERE schemaname = current_schema() ORDER BY 2 DESC, 1 LIMIT %s
"""
_LARGEST_INDEXES = """
    SELECT indexrelname, relname, pg_relation_size(indexrelid), idx_scan FROM pg_stat_user_indexes
    WHERE schemaname = current_schema() ORDER BY 3 DESC, 1 LIMIT %s
"""


def maintain(databases: Databases, choice: Choice, *, wait_s: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Do all of it, or only say what would be removed, and return the report.

    Raises ToolError NOT_AT_HEAD for a database of another MLflow, LOCKED, UNREACHABLE, WORTH_RETRYING or FAILED.
    """
    with connected(databases.tracking, purpose="maintain") as connection:
        with tool_errors(f"Locking {databases.tracking}"):
            lock.acquire(connection, wait_s=wait_s, say=say)
        _refuse_not_at_head(connection, databases.tracking)
        with tool_errors(f"Reading {databases.tracking}"):
            found = Removal(connection, choice).run()
    for name, reason in found.kept.items():
        say(f"{name} is kept: {reason}")
    sizes = {name: _of_database(address, dry_run=choice.dry_run) for name, address in databases.items()}
    return {"removed": found.counts, "kept": found.kept, "databases": sizes, "exit_code": int(ExitCode.DONE)}


def _refuse_not_at_head(connection: Connection, address: Address) -> None:
    with tool_errors(f"Reading {address}"):
        _, where = schema_position(connection, read_chains(installed_package())["tracking"])
    refuse_unusable(address, where)
    if where.direction is not Direction.EQUAL:
        raise ToolError(ExitCode.NOT_AT_HEAD, f"{address}: {where.reason}", "Update the stack, and repeat.")


def _of_database(address: Address, *, dry_run: bool) -> dict[str, Any]:
    with connected(address, purpose="maintain") as connection, tool_errors(f"Vacuuming {address}"):
        before = _rows(connection, _SIZE)[0][0]
        if not dry_run:
            for (table,) in _rows(connection, _TABLES):
                _do(connection, sql.SQL("VACUUM (ANALYZE, SKIP_LOCKED) {}").format(sql.Identifier(table)))
        columns = ("name", "bytes", "rows", "dead_rows")
        return {
            "bytes_before": before,
            "bytes": _rows(connection, _SIZE)[0][0],
            "tables": [dict(zip(columns, row, strict=True)) for row in _rows(connection, _LARGEST_TABLES, _LARGEST)],
            "indexes": [
                dict(zip(("name", "table", "bytes", "scans"), row, strict=True))
                for row in _rows(connection, _LARGEST_INDEXES, _LARGEST)
            ],
        }


def _rows(connection: Connection, statement: str, *values: int) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def _do(connection: Connection, statement: sql.Composable) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
