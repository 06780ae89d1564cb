"""The two tables about MLflow's schemas that the server package carries, read from this tree.

The only reader of those files outside the package: what stands in them is made from the real wheels by its tools.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from components.migrate.forecast import Forecast, Seen
from components.migrate.tool import Pending
from components.schema import Heads, SchemaTable, parse_table

_PACKAGE = Path(__file__).resolve().parents[2] / "server" / "src" / "mlflow_backend_server"


@cache
def schema_table() -> SchemaTable:
    """Return which heads each MLflow version requires. Raises SchemaTableError for a file of another shape."""
    return parse_table(_document("schema_heads.json"))


def forecast(version: str, seen: Seen | None) -> Forecast:
    """Return what putting an MLflow version on the database that was seen means."""
    table = schema_table()
    wanted = wanted_heads(version, auth=seen is not None and seen.heads.auth is not None)
    pending: tuple[Pending, ...] = ()
    if seen is not None and wanted is not None and wanted.tracking is not None:
        pending = describe(table.pending(seen.heads.tracking, wanted.tracking))
        if wanted.auth is not None:
            pending += describe(table.pending(seen.heads.auth, wanted.auth, chain="auth"), chain="auth")
    return Forecast(version=version, wanted=wanted, seen=seen, pending=pending, table=table)


def wanted_heads(version: str, *, auth: bool) -> Heads | None:
    """Return the heads that a version requires, of the auth database only where there is one; None if unknown."""
    required = schema_table().required(version)
    return required if required is None or auth else Heads(tracking=required.tracking)


def describe(revisions: tuple[str, ...], *, chain: str = "tracking") -> tuple[Pending, ...]:
    """Return what is known of these revisions; one that was never recorded is held to be breaking."""
    classes = _document("revision_classes.json").get(chain, {})
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


@cache
def _document(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((_PACKAGE / name).read_text(encoding="utf-8"))
    return content
