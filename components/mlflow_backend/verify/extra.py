"""The user's own HTTP checks as settings describe them; `extra_run` runs them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_KEYS: Final = frozenset({"name", "path", "method", "status", "headers", "jsonPath", "jsonValue"})


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

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ExtraCheck:
        """Read it from settings as the resource carries them: camel case, numbers maybe floats.

        Raises `UsageError`.
        """
        unknown = set(document) - _KEYS
        if unknown or not document.get("name") or not str(document.get("path", "")).startswith("/"):
            raise UsageError(
                f"extraChecks: name and path (from /) are needed; unknown: {', '.join(unknown) or 'none'}",
                code="extra-check-malformed",
            )
        return cls(
            name=str(document["name"]),
            path=str(document["path"]),
            method=str(document.get("method") or "GET"),
            status=int(document.get("status") or 200),
            headers=dict(document.get("headers") or {}),
            json_path=document.get("jsonPath"),
            json_value=document.get("jsonValue"),
        )

    def to_document(self) -> dict[str, Any]:
        """What `from_document` reads."""
        document: dict[str, Any] = {"name": self.name, "path": self.path, "method": self.method, "status": self.status}
        if self.headers:
            document["headers"] = dict(self.headers)
        if self.json_path is not None:
            document |= {"jsonPath": self.json_path, "jsonValue": self.json_value}
        return document
