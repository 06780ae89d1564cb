"""One writer at a time: a Postgres advisory lock in the database that is written.

The lock belongs to the connection that also does the writing, so it ends exactly when that work has: a tool killed in
the middle cannot free it while its last statement still runs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from mlflow_backend_server.db.postgres import connected, tool_errors
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Databases

#: Advisory locks are numbers, per database. This one spells 'mlfb' and 'schm', so that it can be known in pg_locks.
LOCK = (0x6D6C6662, 0x7363686D)
_POLL_S = 0.5
_HOLDER = """
    SELECT a.pid, a.application_name, a.client_addr, now() - a.backend_start
    FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid = %s AND l.objid = %s
      AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


def acquire(connection: Connection, *, wait_s: float, say: Callable[[str], None]) -> None:
    """Take the lock for as long as the connection lives, waiting up to `wait_s` seconds for another writer.

    Raises ToolError LOCKED, naming the other writer, if it is not to be had in that time.
    """
    deadline = time.monotonic() + wait_s
    announced = False
    while not _try(connection):
        holder = _holder(connection)
        if time.monotonic() >= deadline:
            finding = f"Another writer holds this database{holder}."
            raise ToolError(ExitCode.LOCKED, finding, "Let it finish, or wait longer with --wait.")
        if not announced:
            say(f"waiting up to {wait_s:.0f} s for another writer{holder}")
            announced = True
        time.sleep(_POLL_S)


def acquire_all(
    guards: ExitStack, databases: Databases, *, purpose: str, wait_s: float, say: Callable[[str], None]
) -> None:
    """Take the lock of every database, on connections that `guards` closes. Raises as `acquire`, and UNREACHABLE."""
    # Tracking first, as everywhere: whoever takes locks in another order may wait for ever.
    for address in [address for _, address in databases.items()]:
        guard = guards.enter_context(connected(address, purpose=purpose))
        with tool_errors(f"Locking {address}"):
            acquire(guard, wait_s=wait_s, say=say)


def _try(connection: Connection) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", LOCK)
        row = cursor.fetchone()
    return bool(row and row[0])


def _holder(connection: Connection) -> str:
    with connection.cursor() as cursor:
        cursor.execute(_HOLDER, LOCK)
        row = cursor.fetchone()
    if row is None:
        return ""
    pid, application, client, age = row
    return f" ('{application}', process {pid} from {client or 'a local socket'}, for {str(age).split('.')[0]})"
