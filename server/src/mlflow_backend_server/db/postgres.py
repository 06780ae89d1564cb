"""Connections to Postgres, and what its errors mean to the tool's caller."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errorcodes, sql

from mlflow_backend_server.db.schema import Found
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address

CONNECT_TIMEOUT_S = 10
#: How long a statement, pg_dump's too, waits for a table that somebody has locked: servers may be stopped meanwhile.
LOCK_WAIT_S = 60
#: A connection whose peer vanished (network, failover) is given up after about half a minute, not after two hours.
_KEEPALIVES = {"keepalives": "1", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "4"}
VERSION_TABLES = ("alembic_version", "alembic_version_auth")
_TRANSIENT = frozenset({
    errorcodes.CANNOT_CONNECT_NOW, errorcodes.TOO_MANY_CONNECTIONS, errorcodes.ADMIN_SHUTDOWN,
    errorcodes.CRASH_SHUTDOWN, errorcodes.DEADLOCK_DETECTED, errorcodes.SERIALIZATION_FAILURE,
    errorcodes.LOCK_NOT_AVAILABLE, errorcodes.QUERY_CANCELED, errorcodes.OBJECT_IN_USE, errorcodes.DISK_FULL,
})  # fmt: skip
# At connection time libpq gives no SQLSTATE, only the server's words.
_TRANSIENT_WORDS = ("the database system is", "too many clients", "remaining connection slots", "too many connections")


@contextmanager
def connected(address: Address, *, purpose: str) -> Iterator[Connection]:
    """Open an autocommit connection for `purpose`, shown in pg_stat_activity as the application's name.

    Raises ToolError UNREACHABLE or WORTH_RETRYING if it cannot be had.
    """
    connection = connect(address, purpose=purpose)
    try:
        yield connection
    finally:
        connection.close()


def connect(address: Address, *, purpose: str) -> Connection:
    """Open a connection as `connected` does, for a caller who closes it."""
    keywords = {"connect_timeout": str(CONNECT_TIMEOUT_S), **_KEEPALIVES, **address.parameters}
    keywords |= {"dbname": address.name, "application_name": f"mlflow-backend {purpose}"}
    try:
        connection: Connection = psycopg2.connect(**keywords)  # type: ignore[call-overload]
    except psycopg2.OperationalError as error:
        raise _unreachable(address, str(error)) from None
    connection.autocommit = True
    with tool_errors(f"Opening {address}"), connection.cursor() as cursor:
        cursor.execute("SELECT set_config('lock_timeout', %s, false)", (f"{LOCK_WAIT_S}s",))
    return connection


def _unreachable(address: Address, words: str) -> ToolError:
    # libpq's own words name host, port, user and cause, never the password.
    cause = " ".join(words.split())
    if any(word in words for word in _TRANSIENT_WORDS):
        return ToolError(ExitCode.WORTH_RETRYING, f"{address} takes no connection now: {cause}", "Try again soon.")
    fix = "Check that it runs, that the address, the credentials and the network rules are right."
    return ToolError(ExitCode.UNREACHABLE, f"{address} cannot be reached: {cause}", fix)


@contextmanager
def tool_errors(action: str) -> Iterator[None]:
    """Turn the database's errors while doing `action` into ToolError: WORTH_RETRYING if another try may do."""
    try:
        yield
    except psycopg2.Error as error:
        raise tool_error(error, action) from error


def tool_error(error: psycopg2.Error, action: str) -> ToolError:
    """Return the ToolError for a database error that stopped `action`."""
    words = " ".join(str(error.diag.message_primary or error).split())
    # An error without a SQLSTATE is the connection itself breaking.
    transient = error.pgcode in _TRANSIENT or (error.pgcode is None and isinstance(error, psycopg2.OperationalError))
    if transient or (error.pgcode or "").startswith("08"):
        return ToolError(ExitCode.WORTH_RETRYING, f"{action} was interrupted: {words}.", "Try again: nothing was kept.")
    fix = "Nothing was kept. Read the database's log for the statement."
    return ToolError(ExitCode.FAILED, f"{action} failed: {words} (SQLSTATE {error.pgcode}).", fix)


def look(connection: Connection) -> Found:
    """Return the tables of the current schema and the rows of each version table among them."""
    with connection.cursor() as cursor:

        def ask(statement: str) -> list[tuple[Any, ...]]:
            cursor.execute(statement)
            return list(cursor.fetchall())

        return look_by(ask)


def look_by(ask: Callable[[str], list[tuple[Any, ...]]]) -> Found:
    """Return what `look` does, by what returns the rows of a statement."""
    tables = frozenset(
        str(row[0]) for row in ask("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    )
    versions = {
        # A table's name is one of two constants of ours.
        table: tuple(str(row[0]) for row in ask(f"SELECT version_num FROM {table}"))  # noqa: S608
        for table in VERSION_TABLES
        if table in tables
    }
    return Found(versions=versions, tables=tables)


def count_rows(connection: Connection, tables: frozenset[str]) -> dict[str, int]:
    """Return the exact number of rows of each table."""
    counts = {}
    with connection.cursor() as cursor:
        for table in sorted(tables):
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            row = cursor.fetchone()
            counts[table] = int(row[0]) if row else 0
    return counts


def server_version(connection: Connection) -> str:
    """Return the server's version as it states it, such as `16.14`."""
    return str(connection.info.parameter_status("server_version")).split()[0]
