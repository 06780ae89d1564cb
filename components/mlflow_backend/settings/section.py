"""The base of every section of the settings.

A program writes a field by its own name, a stack's file in camel case.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """Frozen, strict about types, closed to unknown keys.

    The docstrings of fields are read for the JSON Schema alone (`schema_export`): each update would wait for it.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        hide_input_in_errors=True,
    )
