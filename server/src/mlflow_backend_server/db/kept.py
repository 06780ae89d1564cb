"""Databases that a restore made or set aside, and their names.

`<name>__before_<UTC stamp>` is what a restore replaced and kept; `<name>__restoring_<UTC stamp>` is one that a restore
has not finished. Both are dropped only by command.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from psycopg2 import sql

from mlflow_backend_server.db.sessions import without_sessions
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import connection as Connection

#: A time in UTC as part of a name; sorted as text, names are in the order of time.
STAMP = "%Y%m%dt%H%M%S"
_NAME_LIMIT = 63
_KINDS = ("before", "restoring")


def next_stamp(names: Iterable[str]) -> str:
    """Return the stamp for what is made or set aside now: later than that of every kept name, whatever the clock says.

    Two steps may fall into one second, and the newest kept one is what `undo` puts back.
    """
    now = datetime.now(UTC)
    stamps = [datetime.strptime(name.rpartition("_")[2], STAMP).replace(tzinfo=UTC) for name in names]
    return max([now, *(each + timedelta(seconds=1) for each in stamps)]).strftime(STAMP)


def kept_name(database: str, stamp: str) -> str:
    """Return the name under which a restore keeps the database that it replaces."""
    return _name(database, "before", stamp)


def restoring_name(database: str, stamp: str) -> str:
    """Return the name of the database that a restore fills before it is switched in."""
    return _name(database, "restoring", stamp)


def kept_databases(connection: Connection, database: str) -> list[str]:
    """Return what restores of this database have left on its server, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{_like(database)}\\_\\_%",))
        names = [str(row[0]) for row in cursor.fetchall()]
    return sorted((name for name in names if is_kept(name, database)), key=lambda name: name.rsplit("_", 1)[1])


def is_kept(name: str, database: str) -> bool:
    """Return whether the name is one that a restore of this database gave."""
    return re.fullmatch(rf"{re.escape(database)}__({'|'.join(_KINDS)})_\d{{8}}t\d{{6}}", name) is not None


def drop_kept(connection: Connection, name: str, database: str) -> None:
    """Drop a database that a restore left.

    Raises ToolError USAGE for any other database: this is the only thing here that destroys data; WORTH_RETRYING if
    clients keep connecting to it, and psycopg2.Error.
    """
    if name not in kept_databases(connection, database):
        raise ToolError(
            ExitCode.USAGE,
            f"'{name}' is not a database that a restore of '{database}' left.",
            "Take one of those that `status` lists under kept_databases.",
        )
    drop(connection, name)


def drop(connection: Connection, name: str) -> None:
    """Drop a database if it is there, ending its sessions. Raises as `drop_kept` does."""
    statement = sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name))
    without_sessions(
        connection,
        [name],
        lambda cursor: cursor.execute(statement),
        finding=f"'{name}' could not be dropped: clients keep connecting to it.",
        fix="Stop them and try again.",
    )


def _name(database: str, kind: str, stamp: str) -> str:
    name = f"{database}__{kind}_{stamp}"
    if len(name.encode()) > _NAME_LIMIT:
        raise ToolError(
            ExitCode.UNSUPPORTED,
            f"The database name '{database}' is too long for a restore to add its stamp to it.",
            f"Names of databases end at {_NAME_LIMIT} bytes: rename it to 35 bytes or fewer.",
        )
    return name


def _like(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
