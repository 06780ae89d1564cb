"""`undo`: the databases that the last restore replaced get their names back; the restored ones are kept."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.db import lock
from mlflow_backend_server.db.kept import kept_databases, kept_name, next_stamp
from mlflow_backend_server.db.postgres import connected, tool_errors
from mlflow_backend_server.db.switching import Swap, switch
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Databases


def undo(databases: Databases, *, wait_s: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Put back what the last restore replaced, all databases of it.

    Raises ToolError USAGE if no restore kept them, LOCKED if another writer works, UNREACHABLE, WORTH_RETRYING
    or FAILED. In each case the backend's databases are as they were.
    """
    with ExitStack() as stack:
        admin = stack.enter_context(connected(databases.maintenance, purpose="undo"))
        locks = stack.enter_context(ExitStack())
        lock.acquire_all(locks, databases, purpose="undo", wait_s=wait_s, say=say)
        with tool_errors("Putting the databases back"):
            swaps = _swaps(admin, databases)
            # The guards are connections to the databases that are renamed now, which bears none.
            locks.close()
            switch(admin, list(swaps.values()), say)
    return {
        "databases": {name: {"database": swap.current, "kept": swap.aside} for name, swap in swaps.items()},
        "exit_code": int(ExitCode.DONE),
    }


def _swaps(admin: Connection, databases: Databases) -> dict[str, Swap]:
    """Return what is renamed: the newest kept ones, which all have the stamp of one restore."""
    newest, known = {}, list[str]()
    for name, address in databases.items():
        left = kept_databases(admin, address.name)
        kept = [each for each in left if "__before_" in each]
        newest[name] = (address.name, kept[-1] if kept else "")
        known += left
    now = next_stamp(known)
    if len({kept.rpartition("_")[2] for _, kept in newest.values()}) != 1 or not all(k for _, k in newest.values()):
        raise ToolError(
            ExitCode.USAGE,
            "No restore has kept all databases of this backend.",
            "Restore a dump, or rename them by hand: `status` lists them under kept_databases.",
        )
    return {
        name: Swap(current=current, incoming=kept, aside=kept_name(current, now))
        for name, (current, kept) in newest.items()
    }
