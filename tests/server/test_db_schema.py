"""Where a database stands against an MLflow's migrations, from what was found in it: every direction, by values."""

from __future__ import annotations

from itertools import pairwise

import pytest
from mlflow_backend_server.db.chains import AUTH_VERSION_TABLE, DEFAULT_VERSION_TABLE, Chain, Revision
from mlflow_backend_server.db.schema import MARKS, Found, position
from mlflow_backend_server.db.verdicts import Direction

NEWER = "r4"
"""A revision of a newer MLflow that the tool knows, and the installed one does not."""
KNOWN = ("r1", "r2", "r3", NEWER)


def chain(name: str = "tracking", table: str = DEFAULT_VERSION_TABLE) -> Chain:
    """Three migrations of the installed MLflow."""
    ids = (None, "r1", "r2", "r3")
    revisions = tuple(Revision(id=own, follows=down, title=own) for down, own in pairwise(ids) if own)
    return Chain(name=name, version_table=table, revisions=revisions)


def found(*tables: str, default: tuple[str, ...] = (), auth: tuple[str, ...] = ()) -> Found:
    """A database with these tables, and these rows in its version tables."""
    versions = {DEFAULT_VERSION_TABLE: default, AUTH_VERSION_TABLE: auth}
    return Found(versions={table: rows for table, rows in versions.items() if rows}, tables=frozenset(tables))


TRACKING, AUTH = MARKS["tracking"], MARKS["auth"]


@pytest.mark.parametrize(
    ("database", "head", "direction", "reason"),
    [
        (found(), None, Direction.EMPTY, "nothing of MLflow's"),
        (found("unrelated"), None, Direction.EMPTY, "nothing of MLflow's"),
        (found("runs", "metrics"), None, Direction.FOREIGN, "another application's table 'metrics'"),
        (found(*TRACKING), None, Direction.FOREIGN, "no version of them"),
        (found(*TRACKING, default=("r3",)), "r3", Direction.EQUAL, "at the head"),
        (found(*TRACKING, default=("r1",)), "r1", Direction.BEHIND, "2 revisions are pending"),
        (found(*TRACKING, default=(NEWER,)), NEWER, Direction.AHEAD, "newer MLflow"),
        (found(*TRACKING, default=("zz",)), "zz", Direction.UNKNOWN, "may be newer"),
        (found("users", default=("zz",)), "zz", Direction.FOREIGN, "belongs to another application"),
        (found(*TRACKING, default=("r1", "r2")), None, Direction.FOREIGN, "holds 2 revisions, not one"),
    ],
)
def test_a_tracking_database_stands_somewhere(
    database: Found, head: str | None, direction: Direction, reason: str
) -> None:
    """What decides whether a migration runs, a server may start, or nobody touches it."""
    standing = position(database, chain(), known=KNOWN)
    assert (standing.head, standing.direction) == (head, direction)
    assert reason in standing.reason


@pytest.mark.parametrize(
    ("table", "database", "direction", "reason"),
    [
        # From 3.6.0 the chain has a table of its own.
        (AUTH_VERSION_TABLE, found(*AUTH, auth=("r3",)), Direction.EQUAL, "at the head"),
        (
            AUTH_VERSION_TABLE,
            found(*AUTH, default=("r2",)),
            Direction.BEHIND,
            "1 revision is pending, and the version",
        ),
        (AUTH_VERSION_TABLE, found(*AUTH, default=("r3",)), Direction.BEHIND, "still stands in alembic_version"),
        # One database for both chains: the default table's row is the tracking chain's.
        (AUTH_VERSION_TABLE, found(default=("tracking-head",)), Direction.EMPTY, "nothing of MLflow's"),
        # Before that it used Alembic's default, and cannot read what a newer one moved.
        (DEFAULT_VERSION_TABLE, found(*AUTH, default=("r3",)), Direction.EQUAL, "at the head"),
        (DEFAULT_VERSION_TABLE, found(*AUTH, auth=("r3",)), Direction.AHEAD, "in alembic_version_auth"),
        (DEFAULT_VERSION_TABLE, found(*AUTH, default=("r3",), auth=("r3",)), Direction.EQUAL, "at the head"),
    ],
)
def test_an_auth_database_is_read_where_its_version_stands(
    table: str, database: Found, direction: Direction, reason: str
) -> None:
    """The version moved to a table of its own in 3.6.0; both ways of looking have to see the same."""
    standing = position(database, chain("auth", table), known=KNOWN, legacy=("r1", "r2", "r3"))
    assert standing.direction is direction
    assert reason in standing.reason
