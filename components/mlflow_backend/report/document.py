"""The report as JSON, by the schema schema/preview-1.json. Pure."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic.alias_generators import to_camel

from mlflow_backend.report import phrases

if TYPE_CHECKING:
    from mlflow_backend.report.model import Report

SCHEMA: Final = "mlflow-backend/preview/1"


def document(report: Report, *, exit_code: int) -> dict[str, Any]:
    """Return the report as JSON-like data, names in camel case as in the settings. `exit_code` is the command's."""
    return {"schema": SCHEMA, "exitCode": exit_code, **_plain(report), "notCounted": phrases.not_counted(report)}


def text(report: Report, *, exit_code: int) -> str:
    """Return the report as JSON text."""
    return json.dumps(document(report, exit_code=exit_code), indent=2) + "\n"


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {to_camel(each.name): _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
