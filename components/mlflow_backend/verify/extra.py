"""The user's own HTTP checks as settings describe them; `extra_run` runs them."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import dataclass, field
from typing import Any

from mlflow_backend.codec import CodecError, from_document
from mlflow_backend.contract import UsageError


@dataclass(frozen=True, kw_only=True)
class ExtraCheck:
    """One request and what must come back. `headers` are references; `json_path` is like `$.models[0].id`."""

    name: str
    path: str
    method: str = "GET"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    json_path: str | None = None
    json_value: object = None


def extra_check(document: Mapping[str, Any]) -> ExtraCheck:
    """Return the check that a document describes, such as the input of a resource. Raises UsageError."""
    try:
        found = from_document(ExtraCheck, document)
    except CodecError as error:
        raise UsageError(f"extraChecks: {error}", code="extra-check-malformed") from None
    if not found.name or not found.path.startswith("/"):
        raise UsageError("extraChecks: a name and a path (from /) are needed", code="extra-check-incomplete")
    return found
