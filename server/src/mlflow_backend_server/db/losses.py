"""`losses`: what restoring a dump would lose, counted row by row against the live databases. Changes nothing.

Dump and tables are streamed: no row is stored, here or there. What is compared, and how, is in `rows`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from mlflow_backend_server.db import clients, rows
from mlflow_backend_server.db.dump import MANIFEST
from mlflow_backend_server.db.objects import open_store, read_json
from mlflow_backend_server.db.postgres import connected, tool_errors
from mlflow_backend_server.db.verdicts import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address, Databases


def losses(databases: Databases, source: str) -> dict[str, Any]:
    """Return the counts by name, only what is not zero. Raises ToolError if dump or database cannot be read."""
    store = open_store(source)
    entries = read_json(store, MANIFEST)["databases"]
    counts: dict[str, int] = {}
    for chain, address in databases.items():
        if chain in entries:
            counts |= _losses(address, rows.TABLES[chain], store.reading(entries[chain]["object"]))
    return {"source": source, "losses": counts, "exit_code": int(ExitCode.DONE)}


def _losses(address: Address, tables: Mapping[str, rows.Table], dump: Iterable[bytes]) -> dict[str, int]:
    now = rows.Content()
    with connected(address, purpose="losses") as connection, tool_errors(f"Reading {address}"):
        live = _columns(connection, tables)
        with clients.unpacking(dump, tables=tuple(tables)) as lines:
            before = rows.read_dump(lines, tables, live)
        for name, columns in live.items():
            read = before.columns.get(name, columns)
            _copy(connection, name, read, now.adding(name, tables[name], read))
    return rows.compare(before, now)


def _columns(connection: Connection, tables: Mapping[str, rows.Table]) -> dict[str, tuple[str, ...]]:
    """Return the columns of those of the tables that exist."""
    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = ANY(%s) ORDER BY ordinal_position",
            (list(tables),),
        )
        for table, column in cursor.fetchall():
            found.setdefault(str(table), []).append(str(column))
    return {table: tuple(columns) for table, columns in found.items()}


def _copy(connection: Connection, table: str, columns: Iterable[str], add: Callable[[bytes], None]) -> None:
    """Hand over a table's rows in these columns, one by one, as COPY writes them."""
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    with connection.cursor() as cursor:
        cursor.copy_expert(
            sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(listed, sql.Identifier(table)), _Lines(add)
        )


class _Lines:
    """A file for psycopg2 to write to: cuts what it is given into lines."""

    def __init__(self, take: Callable[[bytes], None]) -> None:
        self._take, self._rest = take, b""

    def write(self, piece: bytes) -> int:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._take(line)
        return len(piece)
