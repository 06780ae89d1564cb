"""The removal for good of what verifications made: MLflow's own deletes of experiments and runs only mark them.

`mlflow gc` does the same, and takes seconds of a whole MLflow's import for it. This asks Postgres for its foreign keys
instead, so that it knows few tables by name, of any MLflow version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import sql

from mlflow_backend.local import schema

if TYPE_CHECKING:
    from mlflow_backend.local.state import StateDir

# The foreign keys that refer to a table from others: the table, its columns, and the columns that they refer to.
_REFERENCES = """
    SELECT child.relname,
           (SELECT array_agg(attname::text ORDER BY rank) FROM unnest(conkey) WITH ORDINALITY AS k (number, rank)
            JOIN pg_attribute ON attrelid = conrelid AND attnum = number),
           (SELECT array_agg(attname::text ORDER BY rank) FROM unnest(confkey) WITH ORDINALITY AS k (number, rank)
            JOIN pg_attribute ON attrelid = confrelid AND attnum = number)
    FROM pg_constraint JOIN pg_class child ON child.oid = conrelid
    WHERE contype = 'f' AND confrelid = %s::regclass AND conrelid <> confrelid
"""
_TABLE = "experiments"
# What no foreign key leads to: which datasets were inputs of which runs, and its tags.
_OF_RUNS = "destination_id IN (SELECT run_uuid FROM runs WHERE {})"
_INPUTS = (
    f"DELETE FROM input_tags WHERE input_uuid IN (SELECT input_uuid FROM inputs WHERE {_OF_RUNS})",  # noqa: S608 - ours
    f"DELETE FROM inputs WHERE {_OF_RUNS}",  # noqa: S608 - a constant of ours
)


def purge(state: StateDir, prefix: str, *, timeout_s: float) -> int:
    """Delete the experiments below a prefix that are marked as deleted, with all that refers to them; return how many.

    Each statement may take `timeout_s` seconds: what waits for somebody's lock waits no longer. Raises
    psycopg2.Error if the database cannot be asked, or refuses; nothing is deleted then.
    """
    with schema.reading(state) as cursor:
        cursor.execute("SELECT set_config('statement_timeout', %s, false)", (str(max(1, int(timeout_s * 1000))),))
        cursor.execute(
            "SELECT experiment_id FROM experiments WHERE starts_with(name, %s) AND lifecycle_stage = 'deleted'",
            (f"{prefix}/",),
        )
        found = [row[0] for row in cursor.fetchall()]
        if found:
            which = sql.SQL("experiment_id IN ({})").format(sql.SQL(", ").join(map(sql.Literal, found)))
            # One transaction: what is written meanwhile makes all of it fail, and the next verification repeats it.
            cursor.execute("BEGIN")
            try:
                for statement in _INPUTS:
                    cursor.execute(sql.SQL(statement).format(which))
                _delete(cursor, _TABLE, which, ())
                cursor.execute("COMMIT")
            except psycopg2.Error:
                cursor.execute("ROLLBACK")
                raise
        return len(found)


def _delete(cursor: Any, table: str, which: sql.Composable, above: tuple[str, ...]) -> None:
    """Delete rows, and first what refers to them; `above` are the tables on the way, for references in a circle."""
    cursor.execute(_REFERENCES, (table,))
    for child, columns, keys in cursor.fetchall():
        if child not in above:
            rows = sql.SQL("({}) IN (SELECT {} FROM {} WHERE {})").format(
                _names(columns), _names(keys), sql.Identifier(table), which
            )
            _delete(cursor, child, rows, (*above, table))
    cursor.execute(sql.SQL("DELETE FROM {} WHERE {}").format(sql.Identifier(table), which))


def _names(columns: list[str]) -> sql.Composable:
    return sql.SQL(", ").join(map(sql.Identifier, columns))
