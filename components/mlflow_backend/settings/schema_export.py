"""The JSON Schema by which editors check and complete `Pulumi.*.yaml`."""

from __future__ import annotations

import ast
import inspect
import textwrap
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from mlflow_backend.settings.models import Settings
from mlflow_backend.settings.problems import NAMESPACE
from mlflow_backend.settings.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator


def json_schema() -> dict[str, Any]:
    """Return the schema of a stack file: this project's keys closed, other namespaces and Pulumi's own keys open.

    A section may be encrypted as a whole, and is then `secure:` with a ciphertext.
    """
    schema = Settings.model_json_schema(by_alias=True)
    definitions = schema.pop("$defs")
    for section in Section.__subclasses__():
        fields = schema["properties"] if section is Settings else definitions[section.__name__]["properties"]
        for name, text in _documented(section):
            fields[section.model_fields[name].alias or name]["description"] = text
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


def _documented(section: type[Section]) -> Iterator[tuple[str, str]]:
    """Yield the name of each field that has a docstring below it, and the docstring."""
    source = ast.walk(ast.parse(textwrap.dedent(inspect.getsource(section))))
    written = next(node for node in source if isinstance(node, ast.ClassDef))
    for field, below in pairwise(written.body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
