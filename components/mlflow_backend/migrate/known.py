"""The tables of the server's distribution, asked about a change of an MLflow version."""

from __future__ import annotations

from typing import Any

from mlflow_backend.migrate.forecast import Forecast, Seen
from mlflow_backend.migrate.tool import Pending
from mlflow_backend.schema_tables import read, required_heads, schema_table


def forecast(version: str, seen: Seen | None) -> Forecast:
    """Return what putting an MLflow version on the database that was seen means."""
    table = schema_table()
    required = required_heads(version, auth=seen is not None and seen.heads.auth is not None)
    pending: tuple[Pending, ...] = ()
    if seen is not None and required is not None and required.tracking is not None:
        pending = describe(table.pending(seen.heads.tracking, required.tracking))
        if required.auth is not None:
            pending += describe(table.pending(seen.heads.auth, required.auth, chain="auth"), chain="auth")
    return Forecast(version=version, required=required, seen=seen, pending=pending, table=table)


def describe(revisions: tuple[str, ...], *, chain: str = "tracking") -> tuple[Pending, ...]:
    """Return what is known of these revisions; one that was never recorded counts as breaking."""
    classes = read("revision_classes.json").get(chain, {})
    return tuple(_pending(revision, classes.get(revision), chain) for revision in revisions)


def _pending(revision: str, entry: dict[str, Any] | None, chain: str) -> Pending:
    if entry is None:
        reasons = ("its statements were never recorded",)
        return Pending(revision=revision, title="", breaking=True, chain=chain, reasons=reasons)
    return Pending(
        revision=revision,
        title=entry["title"],
        breaking=entry["class"] != "safe",
        chain=chain,
        reasons=tuple(entry["reasons"]),
        tables=tuple(entry["tables"]),
    )
