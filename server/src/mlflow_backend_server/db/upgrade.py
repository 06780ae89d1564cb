"""`upgrade`: one writer brings each database to the head of the installed MLflow, or leaves it as it was."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg2

from mlflow_backend_server.db import lock
from mlflow_backend_server.db.chains import Chain, installed_package, installed_version, read_chains
from mlflow_backend_server.db.migrations import migrate, sqlalchemy_connection
from mlflow_backend_server.db.postgres import connected, tool_error, tool_errors
from mlflow_backend_server.db.status import refuse_unusable, schema_position
from mlflow_backend_server.db.verdicts import Direction, ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address, Databases
    from mlflow_backend_server.db.schema import SchemaPosition


def upgrade(databases: Databases, *, wait_s: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Upgrade every database and return what was done to each.

    All locks are taken, and all databases are checked, before the first is touched. Waits up to `wait_s` seconds for
    another writer.

    Raises ToolError LOCKED, AHEAD, UNSUPPORTED, REVISION_UNKNOWN or UNREACHABLE before anything is touched,
    WORTH_RETRYING or FAILED if a migration stopped and was rolled back, NOT_AT_HEAD if it ended elsewhere.
    """
    chains = read_chains(installed_package())
    with ExitStack() as stack:
        writers = []
        for name, address in databases.items():
            connection = stack.enter_context(connected(address, purpose="upgrade"))
            with tool_errors(f"Locking {address}"):
                lock.acquire(connection, wait_s=wait_s, say=say)
                _, where = schema_position(connection, chains[name])
            refuse_unusable(address, where)
            writers.append((name, address, connection, where))
        done = {
            name: _bring_to_head(address, chains[name], connection, where, say)
            for name, address, connection, where in writers
        }
    return {"mlflow_version": installed_version(), "databases": done, "exit_code": int(ExitCode.DONE)}


def _bring_to_head(
    address: Address, chain: Chain, connection: Connection, where: SchemaPosition, say: Callable[[str], None]
) -> dict[str, Any]:
    applied: list[str] = []
    titles = {revision.id: revision.title for revision in chain.revisions}

    def note(revision: str) -> None:
        applied.append(revision)
        say(f"{address.name}: {revision} {titles.get(revision, '')}")

    started = time.monotonic()
    if where.direction is not Direction.EQUAL:
        say(f"{address}: {where.reason}")
        _run(address, chain, connection, where, note)
        # Asked on a connection of its own: what was committed counts, not what this session believes.
        with connected(address, purpose="upgrade") as witness, tool_errors(f"Reading {address}"):
            _, after = schema_position(witness, chain)
        if after.direction is not Direction.EQUAL:
            raise ToolError(
                ExitCode.NOT_AT_HEAD,
                f"{address} is at {after.head} after the upgrade, not at {chain.head}.",
                "Restore the dump taken before, and report this.",
            )
    seconds = round(time.monotonic() - started, 1)
    return {"before": where.head, "after": chain.head, "applied": applied, "seconds": seconds}


def _run(
    address: Address, chain: Chain, connection: Connection, where: SchemaPosition, note: Callable[[str], None]
) -> None:
    from sqlalchemy.exc import DBAPIError

    restamp = chain.name == "auth" and where.head is not None
    try:
        with sqlalchemy_connection(connection) as bound:
            migrate(bound, chain, head=where.head, restamp=restamp, applied=note)
    except DBAPIError as error:
        if not isinstance(error.orig, psycopg2.Error):
            raise
        raise tool_error(error.orig, f"Upgrading {address}") from None
