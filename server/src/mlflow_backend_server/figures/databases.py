"""Figures of the whole backend, asked of its databases: sizes, connections, schema heads, and what MLflow has created.

Nothing is counted row by row: sizes and rows come from the statistics that Postgres keeps. One worker of each server
asks, on one connection a database, and labels are MLflow's own tables alone.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg2

from mlflow_backend_server.figures.figure import Figure
from mlflow_backend_server.health.database import session
from mlflow_backend_server.health.states import Away

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow_backend_server.db.addresses import Address
    from mlflow_backend_server.db.chains import Chain

_logger = logging.getLogger(__name__)
PERIOD_S = 60.0
_DEADLINE_S = 4.0
# A migration may lock a table; a question that waits for it must end in Postgres too.
_BOUND = f"SELECT set_config('statement_timeout', '{int(_DEADLINE_S * 1000)}', false)"
_SIZE = "SELECT pg_database_size(current_database())"
_LIMIT = "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
# Of another role's session only its database can be seen.
_CONNECTIONS = (
    "SELECT coalesce(state, 'hidden'), count(*) FROM pg_stat_activity "
    "WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend' GROUP BY 1"
)
_TABLES = (
    "SELECT relname, pg_total_relation_size(relid), n_live_tup, n_dead_tup, n_tup_ins FROM pg_stat_user_tables "
    "WHERE schemaname = ANY (current_schemas(false))"
)
#: The tables whose rows are what users create; versions that lack one have no figure of it.
CREATED = {
    "experiments": "experiments",
    "runs": "runs",
    "registered_models": "registered models",
    "model_versions": "model versions",
    "logged_models": "logged models",
    "trace_info": "traces",
}


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table, by Postgres's statistics: bytes with indexes, estimated rows, and rows inserted since their reset."""

    name: str
    bytes: int
    rows: int
    dead_rows: int
    inserted: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """What is asked of one database: its address, its chain, and the names of MLflow's tables in it."""

    address: Address
    chain: Chain
    tables: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Found:
    """The figures of one database."""

    size: int
    at_head: bool
    connections: Mapping[str, int]
    limit: int
    tables: tuple[Table, ...]


def ask(part: Part) -> Found:
    """Return the figures of a database. Raises Away if it does not answer in time, psycopg2.Error if it refuses."""
    with session(part.address, deadline_s=_DEADLINE_S) as answer:
        answer(_BOUND)
        return Found(
            size=answer(_SIZE)[0][0],
            limit=answer(_LIMIT)[0][0],
            connections=dict(answer(_CONNECTIONS)),
            tables=tuple(
                Table(name=name, bytes=size, rows=rows, dead_rows=dead, inserted=inserted)
                for name, size, rows, dead, inserted in answer(_TABLES)
                if name in part.tables
            ),
            at_head=_at_head(answer, part.chain),
        )


def _at_head(answer: Callable[[str], list[tuple[Any, ...]]], chain: Chain) -> bool:
    if answer(f"SELECT to_regclass('{chain.version_table}')")[0][0] is None:
        return False
    # The table's name is one of two constants of ours.
    return answer(f"SELECT version_num FROM {chain.version_table}") == [(chain.head,)]  # noqa: S608


class DatabaseFigures:
    """The latest figures, none of a database that did not answer."""

    def __init__(self, parts: tuple[Part, ...], *, clock: Callable[[], float] = time.monotonic) -> None:
        """Know the databases, tracking first; nothing is asked yet."""
        self._parts, self._clock = parts, clock
        self._found: dict[str, Found] = {}
        self._due, self._lock = float("-inf"), threading.Lock()

    def refresh(self) -> None:
        """Ask, if the last time is PERIOD_S ago. A database that fails has no figures until it answers again."""
        if self._clock() < self._due:
            return
        found = {}
        for part in self._parts:
            try:
                found[part.chain.name] = ask(part)
            except (Away, psycopg2.Error) as error:
                _logger.warning("There are no figures of the %s database: %s.", part.chain.name, type(error).__name__)
        with self._lock:
            self._found, self._due = found, self._clock() + PERIOD_S

    def figures(self) -> Iterator[Figure]:
        """Give the latest figures."""
        with self._lock:
            found = self._found
        for chain, of_database in found.items():
            yield Figure(
                name="database_size_bytes",
                help="Size of a database.",
                label=("database", chain),
                value=of_database.size,
            )
            yield Figure(
                name="schema_at_head",
                help="1 if a database is at the head this MLflow needs.",
                label=("chain", chain),
                value=of_database.at_head,
            )
            for table in of_database.tables:
                yield from _of_table(table)
        if (tracking := found.get("tracking")) is not None:
            for state, count in tracking.connections.items():
                label = ("state", state)
                yield Figure(
                    name="database_connections", help="Connections to the database server.", label=label, value=count
                )
            yield Figure(
                name="database_connections_limit",
                help="Connections that the database server accepts of roles that are not superusers.",
                value=tracking.limit,
            )


def _of_table(table: Table) -> Iterator[Figure]:
    label = ("table", table.name)
    yield Figure(name="table_bytes", help="Size of a table with its indexes.", label=label, value=table.bytes)
    yield Figure(name="table_dead_rows", help="Estimated dead rows of a table.", label=label, value=table.dead_rows)
    if (kind := CREATED.get(table.name)) is not None:
        label = ("kind", kind)
        yield Figure(name="objects", help="Estimated number of objects.", label=label, value=table.rows)
        yield Figure(
            name="objects_created",
            help="Objects created since the database's statistics began.",
            label=label,
            value=table.inserted,
            counter=True,
        )
