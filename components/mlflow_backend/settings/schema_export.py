"""The JSON Schema by which editors check and complete `Pulumi.*.yaml`."""

from __future__ import annotations

from typing import Any

from mlflow_backend.settings.models import Settings
from mlflow_backend.settings.problems import NAMESPACE


def json_schema() -> dict[str, Any]:
    """Return the schema of a stack file: this project's keys closed, other namespaces and Pulumi's own keys open.

    A section may be encrypted as a whole, and is then `secure:` with a ciphertext.
    """
    schema = Settings.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs")
    definitions["Encrypted"] = {
        "type": "object",
        "properties": {"secure": {"type": "string"}},
        "required": ["secure"],
        "additionalProperties": False,
    }
    properties = {
        f"{NAMESPACE}:{key}": {"anyOf": [section, {"$ref": "#/$defs/Encrypted"}]}
        for key, section in schema["properties"].items()
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of an MLflow backend (Pulumi.<stack>.yaml)",
        "type": "object",
        "properties": {
            "config": {
                "type": "object",
                "properties": properties,
                "patternProperties": {f"^(?!{NAMESPACE}:)": {}},
                "additionalProperties": False,
                "required": [f"{NAMESPACE}:target"],
            },
        },
        "$defs": definitions,
    }
