"""`losses`: what restoring a dump would lose, counted row by row against the live database. Changes nothing.

A row that is only in the live table was added since the dump; one that differs in the columns that both have was
changed; one that is only in the dump was deleted and would come back. The dump is streamed: nothing is stored.
"""

from __future__ import annotations

import hashlib
import io
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from mlflow_backend_server.db import clients
from mlflow_backend_server.db.dump import MANIFEST
from mlflow_backend_server.db.objects import open_store, read_json
from mlflow_backend_server.db.postgres import connected, judged
from mlflow_backend_server.db.verdicts import ExitCode

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Databases

#: Table -> what it is called in a sentence, and the columns by which a row is known again.
TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "experiments": ("experiments", ("experiment_id",)),
    "runs": ("runs", ("run_uuid",)),
    "registered_models": ("registered models", ("name",)),
    "model_versions": ("model versions", ("name", "version")),
}
_HEADER = re.compile(rb'^COPY (?:[\w"]+\.)?"?(\w+)"? \((.*)\) FROM stdin;$')
_END = b"\\."


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The columns that both sides have, and each row's key with a digest of what those columns hold."""

    columns: tuple[str, ...]
    rows: dict[tuple[bytes, ...], bytes] = field(default_factory=dict)


def losses(databases: Databases, source: str) -> dict[str, Any]:
    """Return the counts by name, only what is not zero. Raises ToolError where dump or database cannot be read."""
    store = open_store(source)
    entry = read_json(store, MANIFEST)["databases"]["tracking"]
    with connected(databases.tracking, purpose="losses") as connection, judged(f"Reading {databases.tracking}"):
        live = _columns(connection)
        with clients.unpacking(store.reading(entry["object"]), tables=tuple(TABLES)) as lines:
            dumped = dict(_dumped(lines, live))
        counts: dict[str, int] = {}
        for table in TABLES:
            if table in live:
                known = dumped.get(table) or _Table(columns=live[table])
                counts |= _compare(table, known.rows, _rows(_copied(connection, table, known.columns), table, known))
    return {"source": source, "losses": {name: n for name, n in counts.items() if n}, "exit_code": int(ExitCode.DONE)}


def _compare(
    table: str, before: Mapping[tuple[bytes, ...], bytes], now: Mapping[tuple[bytes, ...], bytes]
) -> dict[str, int]:
    name = TABLES[table][0]
    return {
        name: sum(key not in before for key in now),
        f"changed {name}": sum(key in before and before[key] != row for key, row in now.items()),
        f"deleted {name} that come back": sum(key not in now for key in before),
    }


def _columns(connection: Connection) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = current_schema() AND table_name = ANY(%s) ORDER BY ordinal_position",
            (list(TABLES),),
        )
        for table, column in cursor.fetchall():
            found.setdefault(str(table), []).append(str(column))
    return {table: tuple(columns) for table, columns in found.items()}


def _dumped(lines: Iterable[bytes], live: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, _Table]]:
    remaining = iter(lines)
    for line in remaining:
        header = _HEADER.match(line.rstrip(b"\n"))
        if header is None or (table := header[1].decode()) not in TABLES or table not in live:
            continue
        held = [column.strip().strip('"') for column in header[2].decode().split(",")]
        shared = tuple(column for column in held if column in live[table])
        places = [held.index(column) for column in shared]
        rows = ([fields[place] for place in places] for fields in _fields(remaining))
        made = _Table(columns=shared)
        made.rows.update(_rows(rows, table, made))
        yield table, made


def _fields(lines: Iterator[bytes]) -> Iterator[list[bytes]]:
    for line in lines:
        text = line.rstrip(b"\n")
        if text == _END:
            return
        yield text.split(b"\t")


def _copied(connection: Connection, table: str, columns: Sequence[str]) -> Iterator[list[bytes]]:
    """Return a table's rows as COPY writes them, in these columns."""
    listed = sql.SQL(", ").join(map(sql.Identifier, columns))
    content = io.BytesIO()
    with connection.cursor() as cursor:
        cursor.copy_expert(sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(listed, sql.Identifier(table)), content)
    content.seek(0)
    return (line.rstrip(b"\n").split(b"\t") for line in content)


def _rows(rows: Iterable[Sequence[bytes]], table: str, known: _Table) -> dict[tuple[bytes, ...], bytes]:
    keys = [known.columns.index(column) for column in TABLES[table][1]]
    return {
        tuple(row[place] for place in keys): hashlib.blake2b(b"\t".join(row), digest_size=16).digest() for row in rows
    }
