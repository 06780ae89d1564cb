"""The provider's properties as fields of Google's documents, and back, by the SDK's types and the schemas. Pure.

Most names are one. The provider has plurals for lists, a record for a list of one, numbers for 64-bit integers; what it
calls otherwise is in `names`. What neither rule finds is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests import google_apis
from tests.rig.standin.base import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.sdk import Field, Kind

Schema = dict[str, Any]


def to_google(api: str, schema: str, values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return properties as a document of a schema. Raises Refused for one that the schema does not have."""
    found: dict[str, Any] = _outward(api, google_apis.document(api)["schemas"][schema], values, names)
    return found


def from_google(
    api: str, schema: str, document: Mapping[str, Any], fields: Mapping[str, Field], names: Mapping[str, str]
) -> dict[str, Any]:
    """Return what a document says of properties, each of its field's kind; what it does not say is left out."""
    return _inward(google_apis.document(api)["schemas"][schema], api, document, fields, names)


def _resolved(api: str, schema: Schema) -> Schema:
    found: Schema = google_apis.document(api)["schemas"][schema["$ref"]] if "$ref" in schema else schema
    return found


def _name(schema: Schema, name: str, names: Mapping[str, str]) -> str | None:
    """Return a property's name in a schema: its own, the one that is declared, or its singular."""
    known = schema.get("properties", {})
    choices = (names.get(name, name), name.removesuffix("s"), name.removesuffix("es"))
    return next((each for each in choices if each in known), None)


def _outward(api: str, schema: Schema, value: Any, names: Mapping[str, str]) -> Any:
    schema = _resolved(api, schema)
    if schema.get("type") == "array":
        items = value if isinstance(value, list) else [value]
        return [_outward(api, schema["items"], each, names) for each in items]
    if isinstance(value, dict) and "properties" in schema:
        found = {}
        for name, each in value.items():
            google = _name(schema, name, names)
            if google is None:
                raise Refused(f"{schema.get('id')}: the stand-in finds no field for {name}")
            found[google] = _outward(api, schema["properties"][google], each, names)
        return found
    if schema.get("type") == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _inward(
    schema: Schema, api: str, document: Mapping[str, Any], fields: Mapping[str, Field], names: Mapping[str, str]
) -> dict[str, Any]:
    found = {}
    for name, field in fields.items():
        google = _name(schema, name, names)
        if google is not None and google in document:
            found[name] = _valued(api, schema["properties"][google], document[google], field.kind, names)
    return found


def _valued(api: str, schema: Schema, value: Any, kind: Kind, names: Mapping[str, str]) -> Any:
    schema = _resolved(api, schema)
    if kind.name == "record" and isinstance(value, list):
        return _valued(api, schema["items"], value[0], kind, names) if value else None
    if kind.name == "list" and kind.item is not None:
        items = value if isinstance(value, list) else [value]
        return [_valued(api, schema.get("items", schema), each, kind.item, names) for each in items]
    if kind.name == "record" and isinstance(value, dict):
        return _inward(schema, api, value, kind.fields(), names)
    if kind.name in {"integer", "number"} and isinstance(value, str):
        return int(value)
    return value
