"""The swap of one logical database for another, by renames: for all databases of a backend in one transaction.

Whenever this is killed, the backend has either all the databases of before or all the other ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from mlflow_backend_server.db.sessions import without_sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg2.extensions import connection as Connection


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

    def rename(cursor: Any) -> None:
        for swap in swaps:
            _rename(cursor, swap.current, swap.aside)
            _rename(cursor, swap.incoming, swap.current)

    admin.autocommit = False
    without_sessions(
        admin,
        [name for swap in swaps for name in (swap.current, swap.incoming)],
        rename,
        finding="The databases could not be switched: connections to them keep coming.",
        fix="Stop the servers and try again.",
    )
    admin.commit()
    admin.autocommit = True
    for swap in swaps:
        say(f"'{swap.incoming}' is '{swap.current}' now; what it replaced is kept as '{swap.aside}'")


def _rename(cursor: Any, old: str, new: str) -> None:
    cursor.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(old), sql.Identifier(new)))
