"""The schema and the logical databases of a local stack's Postgres, asked and renamed directly.

One query reads the heads, without starting the database tool. What reads or changes tables is the tool's.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errors, sql

from mlflow_backend.backup import tracked
from mlflow_backend.local import credentials, ports
from mlflow_backend.local.naming import AUTH_DATABASE, DATABASE, ROLE
from mlflow_backend.local.postgres import ADMIN, session
from mlflow_backend.schema import Heads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.backup.orphans import NamedArtifacts
    from mlflow_backend.local.state import StateDir

_VERSION_TABLE = "alembic_version"
# The database tool's name for what a restore replaced (server/src/mlflow_backend_server/db/kept.py).
_KEPT = f"{DATABASE}__before_"


def heads(state: StateDir) -> Heads | None:
    """Return the schema heads, None if Postgres does not answer or refuses the server's role."""
    try:
        return answered_heads(state)
    except psycopg2.OperationalError:
        return None


def answered_heads(state: StateDir) -> Heads:
    """Return the schema heads. Raises psycopg2.OperationalError if Postgres does not answer, or refuses to."""
    with reading(state) as cursor:
        tracking = _head(cursor, _VERSION_TABLE)
    with _session(state, ROLE, credentials.DATABASE, AUTH_DATABASE) as cursor:
        # Before MLflow 3.6.0 basic auth used Alembic's own name for its table.
        auth = _head(cursor, f"{_VERSION_TABLE}_auth") or _head(cursor, _VERSION_TABLE)
    return Heads(tracking=tracking, auth=auth)


def _head(cursor: Any, table: str) -> str | None:
    try:
        cursor.execute(sql.SQL("SELECT version_num FROM {}").format(sql.Identifier(table)))
    except errors.UndefinedTable:
        return None
    found = cursor.fetchone()
    return str(found[0]) if found else None


def empty(state: StateDir) -> bool:
    """Return whether the tracking database holds no table at all."""
    with reading(state) as cursor:
        cursor.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
        return bool(cursor.fetchone()[0] == 0)


def row_counts(state: StateDir, tables: Sequence[str]) -> dict[str, int]:
    """Return the number of rows of those of the tables that exist; none if Postgres does not answer."""
    counts: dict[str, int] = {}
    with contextlib.suppress(psycopg2.OperationalError), reading(state) as cursor:
        cursor.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename = ANY(%s)", (list(tables),)
        )
        for (table,) in cursor.fetchall():
            cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table)))
            counts[str(table)] = int(cursor.fetchone()[0])
    return counts


def users_rows(state: StateDir, prefix: str) -> dict[str, int]:
    """Return how many rows users wrote to the tracking database, by table; none if Postgres does not answer."""
    with contextlib.suppress(psycopg2.OperationalError), reading(state) as cursor:
        return tracked.users_rows(cursor, prefix)
    return {}


def named_artifacts(state: StateDir) -> tuple[NamedArtifacts, ...]:
    """Return every location of artifacts that the tracking database names. Raises psycopg2.Error."""
    with reading(state) as cursor:
        return tracked.named_artifacts(cursor)


def experiments(state: StateDir) -> dict[str, str]:
    """Return the names of all experiments by their numbers. Raises psycopg2.Error."""
    with reading(state) as cursor:
        return tracked.experiments(cursor)


def reading(state: StateDir) -> contextlib.AbstractContextManager[Any]:
    """Give a cursor on the tracking database as the server's own role, whose statements have a deadline."""
    return _session(state, ROLE, credentials.DATABASE, DATABASE)


@contextlib.contextmanager
def allowed_to_create(state: StateDir) -> Iterator[None]:
    """Let the server's role create and rename databases while a restore runs, and not for longer."""
    role = sql.Identifier(ROLE)
    with _admin(state) as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(role))
    try:
        yield
    finally:
        with _admin(state) as cursor:
            cursor.execute(sql.SQL("ALTER ROLE {} NOCREATEDB").format(role))


def kept(state: StateDir) -> tuple[str, ...]:
    """Return the names of the databases that restores replaced and kept, newest first."""
    with _admin(state) as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (_KEPT,))
        return tuple(sorted((str(row[0]) for row in cursor.fetchall()), reverse=True))


def _admin(state: StateDir) -> contextlib.AbstractContextManager[Any]:
    return _session(state, ADMIN, credentials.DATABASE_ADMIN, ADMIN)


def _session(state: StateDir, user: str, password: str, database: str) -> contextlib.AbstractContextManager[Any]:
    port = ports.known(state).get("database")
    if port is None:
        raise psycopg2.OperationalError("no database was ever started")
    return session(port, user, credentials.read(state, password), database)
