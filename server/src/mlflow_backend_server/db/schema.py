"""The direction of a database: from what was found in it to what the installed MLflow requires. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend_server.db.chains import AUTH_VERSION_TABLE, DEFAULT_VERSION_TABLE, Chain
from mlflow_backend_server.db.verdicts import Direction

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Tables by which a database is known for MLflow's, whatever its version: in every release from the chain's first.
MARKS: Mapping[str, frozenset[str]] = {
    "tracking": frozenset({"experiments", "runs", "metrics", "params"}),
    "auth": frozenset({"users", "experiment_permissions"}),
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a database holds: rows of each version table that exists, and its tables."""

    versions: Mapping[str, tuple[str, ...]]
    tables: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class SchemaPosition:
    """Where one database stands: its head (None: none), its direction, and why in one sentence."""

    head: str | None
    direction: Direction
    reason: str


def position(found: Found, chain: Chain, *, known: tuple[str, ...], legacy: tuple[str, ...] = ()) -> SchemaPosition:
    """Return where the database stands against the chain.

    `known` holds every revision up to the newest MLflow that the tool was built with. `legacy` holds the revisions
    that may stand in Alembic's default table for a chain that has a table of its own by now.
    """
    rows, table = _version_rows(found, chain, legacy)
    marked = found.tables >= MARKS[chain.name]
    if len(rows) > 1:
        return SchemaPosition(
            head=None, direction=Direction.FOREIGN, reason=f"{table} holds {len(rows)} revisions, not one."
        )
    if not rows:
        return _without_version(found, chain, marked=marked)
    head = rows[0]
    if head in chain.ids():
        return _within(head, chain, table)
    if head in known:
        return SchemaPosition(head=head, direction=Direction.AHEAD, reason="A newer MLflow has upgraded this database.")
    if marked:
        reason = "The database is MLflow's, but no MLflow known to this tool has this revision: it may be newer."
        return SchemaPosition(head=head, direction=Direction.UNKNOWN, reason=reason)
    reason = f"{table} belongs to another application."
    return SchemaPosition(head=head, direction=Direction.FOREIGN, reason=reason)


def _within(head: str, chain: Chain, table: str) -> SchemaPosition:
    if table != chain.version_table and chain.version_table == DEFAULT_VERSION_TABLE:
        # The installed MLflow looks into Alembic's default table, and a newer one has moved the version to its own.
        reason = f"A newer MLflow keeps this database's version in {table}."
        return SchemaPosition(head=head, direction=Direction.AHEAD, reason=reason)
    count = len(chain.after(head))
    pending = "1 revision is pending" if count == 1 else f"{count} revisions are pending"
    if table != chain.version_table:
        reason = f"{pending}, and the version still stands in {table}."
        return SchemaPosition(head=head, direction=Direction.BEHIND, reason=reason)
    if head == chain.head:
        return SchemaPosition(
            head=head, direction=Direction.EQUAL, reason="The database is at the head of this MLflow."
        )
    return SchemaPosition(head=head, direction=Direction.BEHIND, reason=f"{pending}.")


def _without_version(found: Found, chain: Chain, *, marked: bool) -> SchemaPosition:
    if marked:
        reason = "It holds MLflow's tables but no version of them."
        return SchemaPosition(head=None, direction=Direction.FOREIGN, reason=reason)
    taken = sorted(found.tables & MARKS[chain.name])
    if taken:
        reason = f"It holds another application's table '{taken[0]}'."
        return SchemaPosition(head=None, direction=Direction.FOREIGN, reason=reason)
    return SchemaPosition(head=None, direction=Direction.EMPTY, reason="It holds nothing of MLflow's yet.")


def _version_rows(found: Found, chain: Chain, legacy: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """Return the rows that say the version, and the table that they stand in."""
    default = found.versions.get(DEFAULT_VERSION_TABLE, ())
    if chain.name == "tracking":
        return default, DEFAULT_VERSION_TABLE
    own = found.versions.get(AUTH_VERSION_TABLE, ())
    if own:
        # Releases before 3.6.0 go on with their own table as long as both say the same.
        agree = chain.version_table == DEFAULT_VERSION_TABLE and default == own
        return own, DEFAULT_VERSION_TABLE if agree else AUTH_VERSION_TABLE
    if chain.version_table == DEFAULT_VERSION_TABLE or set(default) & set(legacy):
        return default, DEFAULT_VERSION_TABLE
    return (), AUTH_VERSION_TABLE
