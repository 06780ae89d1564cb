"""The check that compares the database's schema head with what the served MLflow version requires.

MLflow compares them once, while it starts, and its REST API never shows them: a database that was migrated, restored or
swapped under a running server fails at the next start. Only a target that can reach its database can be asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.schema_tables import schema_table
from mlflow_backend.verify.answers import platform_unknown
from mlflow_backend.verify.model import Finding, failed, passed, skipped

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context


def schema(context: Context) -> Finding:
    """The database is at the schema head that the served MLflow version requires."""
    heads = context.subject.live.heads
    if heads is None:
        return skipped(context.subject.live.no_heads)
    served = context.shared.served_version or ""
    required = schema_table().required(served)
    try:
        live = heads()
    except Exception as error:  # noqa: BLE001 - whatever the platform's reader meets, the schema is not known
        return platform_unknown("the database could not be asked for its schema", error)
    if live is None:
        return skipped("the database cannot be reached from here, so its schema is not compared")
    if required is None:
        return skipped(f"the schema that MLflow {served} requires is not known here")
    if live.tracking == required.tracking and live.auth in {None, required.auth}:
        return passed(f"the database is at {live.tracking}, as MLflow {served} requires")
    return failed(
        f"the database is at {live}, MLflow {served} requires {required}",
        code="schema-mismatch",
        cause="The database was migrated, restored or swapped under the server; the server will not start on it again.",
        next_step="Migrate it to the head of the served version, or restore the dump that belongs to it.",
    )
