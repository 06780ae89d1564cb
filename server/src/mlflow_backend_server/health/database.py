"""One question to Postgres within a hard deadline.

A synchronous client has none: a server that is stopped (SIGSTOP, a frozen machine) still takes connections and bytes
in its kernel, and the client waits for ever. So this speaks to libpq in its non-blocking mode.
"""

from __future__ import annotations

import select
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import extensions

from mlflow_backend_server.health.states import Away

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend_server.db.addresses import Address

DEADLINE_S = 1.0


def ask(address: Address, statement: str, *, deadline_s: float = DEADLINE_S) -> list[str]:
    """Return the first column of the statement's rows, over a connection of its own.

    Raises Away, with a sentence, if no answer comes in time or Postgres refuses.
    """
    with session(address, deadline_s=deadline_s) as answer:
        return [str(row[0]) for row in answer(statement)]


@contextmanager
def session(address: Address, *, deadline_s: float) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Open a connection of its own; the context is a function that returns the rows of a statement.

    All statements share one deadline. Several in one text are one transaction. Raises Away as `ask` does.
    """
    end = time.monotonic() + deadline_s
    keywords = {**address.parameters, "dbname": address.name, "application_name": "mlflow-backend health"}
    try:
        connection = psycopg2.connect(**keywords, async_=1)  # type: ignore[call-overload]
        try:
            _wait(connection, end)
            cursor = connection.cursor()

            def answer(statement: str) -> list[tuple[Any, ...]]:
                cursor.execute(statement)
                _wait(connection, end)
                return list(cursor.fetchall())

            yield answer
        finally:
            connection.close()
    except psycopg2.OperationalError as error:
        raise Away(_cause(error)) from None


def _wait(connection: extensions.connection, end: float) -> None:
    while (state := connection.poll()) != extensions.POLL_OK:
        left = end - time.monotonic()
        reading, writing = ([connection], []) if state == extensions.POLL_READ else ([], [connection])
        if left <= 0 or not any(select.select(reading, writing, [], left)):
            raise Away("Postgres takes connections but does not answer.")


def _cause(error: psycopg2.OperationalError) -> str:
    words = str(error)
    for sign, sentence in _SIGNS.items():
        if sign in words:
            return sentence
    return "Postgres cannot be reached."


_SIGNS = {
    "Connection refused": "Nothing listens at the database's address.",
    "password authentication failed": "Postgres refuses the server's credentials.",
    "does not exist": "The database or its user does not exist.",
    "could not translate host name": "The database's host name is not known.",
    "no pg_hba.conf entry": "Postgres refuses connections from this server.",
    "too many": "Postgres has no connection left.",
    "remaining connection slots": "Postgres has no connection left.",
    "starting up": "Postgres is starting.",
    "shutting down": "Postgres is shutting down.",
}
