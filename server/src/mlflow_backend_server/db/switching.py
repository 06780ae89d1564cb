"""The swap of one logical database for another, by renames: for all databases of a backend in one transaction.

Whenever this is killed, the backend has either all the databases of before or all the other ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import errors, sql

from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg2.extensions import connection as Connection

_DEADLINE_S = 60
_PAUSE_S = 0.2
# Of clients alone: nobody but a superuser may end an autovacuum worker, and the rename ends one by itself.
_END_CLIENTS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
)


@dataclass(frozen=True, kw_only=True)
class Swap:
    """`incoming` becomes `current`; what was `current` is kept as `aside`. Names of databases on one server."""

    current: str
    incoming: str
    aside: str


def switch(admin: Connection, swaps: Sequence[Swap], say: Callable[[str], None]) -> None:
    """Rename all databases in one transaction, ending the connections that stand in its way.

    Raises ToolError WORTH_RETRYING if connections keep coming, and psycopg2.Error; nothing is renamed then.
    """
    deadline = time.monotonic() + _DEADLINE_S
    admin.autocommit = False
    while True:
        try:
            with admin.cursor() as cursor:
                for swap in swaps:
                    for name in (swap.current, swap.incoming):
                        cursor.execute(_END_CLIENTS, (name,))
                for swap in swaps:
                    _rename(cursor, swap.current, swap.aside)
                    _rename(cursor, swap.incoming, swap.current)
            admin.commit()
        except errors.ObjectInUse:
            # A server reconnected between the two statements.
            admin.rollback()
            if time.monotonic() >= deadline:
                finding = "The databases could not be switched: connections to them keep coming."
                raise ToolError(ExitCode.WORTH_RETRYING, finding, "Stop the servers and try again.") from None
            time.sleep(_PAUSE_S)
        except psycopg2.Error:
            admin.rollback()
            raise
        else:
            break
    admin.autocommit = True
    for swap in swaps:
        say(f"'{swap.incoming}' is '{swap.current}' now; what it replaced is kept as '{swap.aside}'")


def _rename(cursor: Any, old: str, new: str) -> None:
    cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
