"""The experiments, locations of artifacts and rows of users that a tracking database has, asked by a cursor on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.backup.orphans import NamedArtifacts

if TYPE_CHECKING:
    from collections.abc import Sequence

# Who may have artifacts, the table, its columns of the name and of the location, which rows, and whether there must be
# files.
_WITH_ARTIFACTS: Final[Sequence[tuple[str, str, str, str, str, bool]]] = (
    ("run", "runs", "run_uuid", "artifact_uri", "true", False),
    ("logged model", "logged_models", "model_id", "artifact_location", "true", False),
    ("model version", "model_versions", "concat(name, '/', version)", "storage_location", "true", True),
    ("trace", "trace_tags", "request_id", "value", "key = 'mlflow.artifactLocation'", False),
)


USERS_ROWS: Final[Sequence[tuple[str, str]]] = (
    ("runs", "runs JOIN experiments e USING (experiment_id) WHERE NOT starts_with(e.name, %s)"),
    ("registered_models", "registered_models WHERE NOT starts_with(name, %s)"),
)
"""Tables, and which of their rows users wrote: all but those whose names begin as a verification's, which are marked as
deleted and stay until maintenance."""


def named_artifacts(cursor: Any) -> tuple[NamedArtifacts, ...]:
    """Return every location of artifacts that a row names. Raises psycopg2.Error."""
    found = []
    for kind, table, name, location, rows, expected in _WITH_ARTIFACTS:
        cursor.execute(
            "SELECT 1 FROM information_schema.columns WHERE table_name = %s AND column_name = %s", (table, location)
        )
        # Of an MLflow version that has no such table yet, or no such column.
        if cursor.fetchone() is None:
            continue
        cursor.execute(f"SELECT {name}, {location} FROM {table} WHERE {location} IS NOT NULL AND {rows}")  # noqa: S608 - our own words
        found += [
            NamedArtifacts(owner=f"{kind} {owner}", location=path, expected=expected)
            for owner, path in cursor.fetchall()
        ]
    return tuple(found)


def users_rows(cursor: Any, prefix: str) -> dict[str, int]:
    """Return how many rows users wrote by table, as far as the tables exist. Raises psycopg2.Error."""
    counts = {}
    for table, rows in USERS_ROWS:
        cursor.execute("SELECT to_regclass(%s)", (table,))
        if cursor.fetchone()[0] is not None:
            cursor.execute(f"SELECT count(*) FROM {rows}", (prefix,))  # noqa: S608 - our own words
            counts[table] = int(cursor.fetchone()[0])
    return counts


def experiments(cursor: Any) -> dict[str, str]:
    """Return the names of all experiments by their numbers. Raises psycopg2.Error."""
    cursor.execute("SELECT experiment_id::text, name FROM experiments")
    return dict(cursor.fetchall())
