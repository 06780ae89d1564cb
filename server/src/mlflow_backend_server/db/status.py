"""`status` and `check`: where each database stands, what is pending and what that will touch. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend_server.db import known
from mlflow_backend_server.db.chains import Chain, installed_package, installed_version, read_chains
from mlflow_backend_server.db.kept import kept_databases
from mlflow_backend_server.db.postgres import connected, count_rows, look, server_version, tool_errors
from mlflow_backend_server.db.schema import Found, SchemaPosition, position
from mlflow_backend_server.db.verdicts import Direction, ExitCode, ToolError

if TYPE_CHECKING:
    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address, Databases

#: Which exit code a direction means for a caller who only asks.
CODES = {
    Direction.EQUAL: ExitCode.DONE,
    Direction.BEHIND: ExitCode.DONE,
    Direction.EMPTY: ExitCode.DONE,
    Direction.AHEAD: ExitCode.AHEAD,
    Direction.UNKNOWN: ExitCode.REVISION_UNKNOWN,
    Direction.FOREIGN: ExitCode.UNSUPPORTED,
}
_FIXES = {
    Direction.AHEAD: "Run the MLflow that upgraded it, or restore a dump taken before.",
    Direction.UNKNOWN: "Update mlflow-backend, run the MLflow that upgraded it, or restore a dump.",
    Direction.FOREIGN: "Give MLflow a database of its own.",
}


def schema_position(connection: Connection, chain: Chain) -> tuple[Found, SchemaPosition]:
    """Return what the connected database holds, and how that compares with the chain."""
    found = look(connection)
    return found, position_of(found, chain)


def position_of(found: Found, chain: Chain) -> SchemaPosition:
    """Return where a database stands on the chain, by what was found in it."""
    legacy = chain.ids() if chain.name == "auth" else ()
    return position(found, chain, known=known.all_revisions(chain.name), legacy=legacy)


def refuse_unusable(address: Address, where: SchemaPosition) -> None:
    """Raise ToolError if the installed MLflow cannot work with this database and no upgrade helps."""
    code = CODES[where.direction]
    if code is not ExitCode.DONE:
        head = f" (revision {where.head})" if where.head else ""
        raise ToolError(code, f"{address}{head}: {where.reason}", _FIXES[where.direction])


def status(databases: Databases) -> dict[str, Any]:
    """Return the report of all databases, `exit_code` and `verdict` for the worst of them included.

    Raises ToolError UNREACHABLE or WORTH_RETRYING if a database does not answer.
    """
    chains = read_chains(installed_package())
    reports = {name: _one(address, chains[name]) for name, address in databases.items()}
    codes = [CODES[Direction(report["direction"])] for report in reports.values()]
    return {"mlflow_version": installed_version(), "databases": reports, "exit_code": int(max(codes))}


def check(databases: Databases) -> dict[str, Any]:
    """Return `status`, with NOT_AT_HEAD for any database that the installed MLflow would still have to upgrade."""
    report = status(databases)
    at_head = all(entry["direction"] == Direction.EQUAL for entry in report["databases"].values())
    if report["exit_code"] == ExitCode.DONE and not at_head:
        report["exit_code"] = int(ExitCode.NOT_AT_HEAD)
    return report


def _one(address: Address, chain: Chain) -> dict[str, Any]:
    with connected(address, purpose="status") as connection, tool_errors(f"Reading {address}"):
        found, where = schema_position(connection, chain)
        pending = [_pending(chain.name, revision.id, revision.title) for revision in _pending_revisions(chain, where)]
        touched = {table for entry in pending for table in entry["tables"]} & found.tables
        counts = count_rows(connection, frozenset(touched))
        kept = kept_databases(connection, address.name)
        version = server_version(connection)
    host, port = address.server
    return {
        "database": address.name,
        "server": f"{host}:{port}",
        "postgres_version": version,
        "direction": str(where.direction),
        "reason": where.reason,
        "head": where.head,
        "head_since_mlflow": known.first_release(chain.name, where.head) if where.head else None,
        "expected_head": chain.head,
        "pending": pending,
        "row_counts": counts,
        "kept_databases": kept,
    }


def _pending_revisions(chain: Chain, where: SchemaPosition) -> tuple[Any, ...]:
    if where.direction in {Direction.BEHIND, Direction.EMPTY}:
        return chain.after(where.head)
    return ()


def _pending(chain: str, revision: str, title: str) -> dict[str, Any]:
    effect = known.effect(chain, revision)
    return {
        "revision": revision,
        "title": title,
        "class": str(effect.revision_class),
        "reasons": list(effect.reasons),
        "tables": list(effect.tables),
    }
