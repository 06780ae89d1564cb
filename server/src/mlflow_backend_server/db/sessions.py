"""Sessions that stand in the way of a rename or a drop of their database."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from psycopg2 import errors

from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from psycopg2.extensions import connection as Connection

_DEADLINE_S = 60
_PAUSE_S = 0.2
# Of clients alone: only a superuser or a member of pg_signal_backend may end an autovacuum worker, and a rename or a
# drop without FORCE ends one by itself.
_END_CLIENTS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'"
)


def without_sessions(
    admin: Connection, names: Iterable[str], work: Callable[[Any], None], *, finding: str, fix: str
) -> None:
    """End the sessions of the named databases and run `work` with a cursor, again while sessions come back.

    Raises ToolError WORTH_RETRYING with this finding and fix if they come back for a minute, and psycopg2.Error; the
    transaction of `admin` is rolled back then, and is the caller's to commit otherwise.
    """
    deadline, names = time.monotonic() + _DEADLINE_S, [*names]
    while True:
        try:
            with admin.cursor() as cursor:
                for name in names:
                    cursor.execute(_END_CLIENTS, (name,))
                work(cursor)
        except errors.ObjectInUse:
            # A client connected between the two statements.
            admin.rollback()
            if time.monotonic() >= deadline:
                raise ToolError(ExitCode.WORTH_RETRYING, finding, fix) from None
            time.sleep(_PAUSE_S)
        except BaseException:
            admin.rollback()
            raise
        else:
            return
