"""The user's own HTTP checks as settings describe them; `extra_run` runs them."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import dataclass, field
from typing import Any

from mlflow_backend.codec import CodecError, from_document
from mlflow_backend.contract import UsageError
from mlflow_backend.saved_values import used_in


@dataclass(frozen=True, kw_only=True)
class Upload:
    """A file that is sent as a form does: the form's field, the file's name, its text."""

    field: str
    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class ExtraCheck:
    """One request and what must come back. `headers` are references; `json_path` is like `$.models[0].id`.

    `body` is sent as JSON. `save` keeps values of the answer, each by the name under which later checks write it
    (`${NAME}`), from its path. `within`: seconds to repeat the request until the answer is the expected one.
    """

    name: str
    path: str
    method: str = "GET"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    upload: Upload | None = None
    save: Mapping[str, str] = field(default_factory=dict)
    within: int | None = None
    json_path: str | None = None
    json_value: object = None

    @property
    def uses(self) -> frozenset[str]:
        """The names of the saved values that it writes."""
        return used_in(self.path, json.dumps(self.body), self.upload.text if self.upload else "")


def extra_check(document: Mapping[str, Any]) -> ExtraCheck:
    """Return the check that a document describes, such as the input of a resource. Raises UsageError."""
    try:
        found = from_document(ExtraCheck, document)
    except CodecError as error:
        raise UsageError(f"extraChecks: {error}", code="extra-check-malformed") from None
    if not found.name or not found.path.startswith("/"):
        raise UsageError("extraChecks: a name and a path (from /) are needed", code="extra-check-incomplete")
    return found
