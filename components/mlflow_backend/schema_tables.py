"""The schema heads that each MLflow version requires, from the table that the server's distribution carries."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from mlflow_backend.packaged import TABLES
from mlflow_backend.schema import Heads, SchemaTable, parse_table


@cache
def schema_table() -> SchemaTable:
    """Return which heads each MLflow version requires. Raises PlatformFailed for a file of another shape."""
    return parse_table(read("schema_heads.json"))


def required_heads(version: str, *, auth: bool) -> Heads | None:
    """Return the heads that a version requires, of the auth database only if there is one; None if unknown."""
    required = schema_table().required(version)
    return required if required is None or auth else Heads(tracking=required.tracking)


@cache
def read(name: str) -> dict[str, Any]:
    """Return the content of one of the tables about MLflow's schemas: schema_heads.json or revision_classes.json."""
    content: dict[str, Any] = json.loads((TABLES / name).read_text(encoding="utf-8"))
    return content
