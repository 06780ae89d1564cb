"""HTTP checks of the user's own, from settings: for a gateway or an API in front of MLflow."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.verify.causes import explain
from mlflow_backend.verify.credentials import CredentialError, read_reference
from mlflow_backend.verify.model import Check, Exchange, Finding, Part, Result, failed, inconclusive, passed
from mlflow_backend.verify.observed import EXCERPT, FailureContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.verify.context import Context

_KEYS: Final = frozenset({"name", "path", "method", "status", "headers", "jsonPath", "jsonValue"})
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_MISSING: Final = object()


class ExtraCheckError(Exception):
    """An extra check is not described in a way that can be run. Names the key."""


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

        Raises `ExtraCheckError`.
        """
        unknown = set(document) - _KEYS
        if unknown or not document.get("name") or not str(document.get("path", "")).startswith("/"):
            raise ExtraCheckError(
                f"extraChecks: name and path (from /) are needed; unknown: {', '.join(unknown) or 'none'}"
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

    def check(self) -> Check:
        """The check that makes the request, `extra-NAME`."""

        def run(context: Context) -> Finding:
            return _run(self, context)

        run.__doc__ = f"{self.method} {self.path} answers {self.status}."
        return Check(name=f"extra-{self.name}", part=Part.SERVER, run=run, needs=("health",))


def _run(extra: ExtraCheck, context: Context) -> Finding:
    try:
        headers = {
            name: read_reference(f"header {name}", reference, context.subject.live.secrets)
            for name, reference in extra.headers.items()
        }
    except CredentialError as error:
        return inconclusive(
            "a header of this check cannot be had",
            code="credentials-unreadable",
            cause=str(error),
            next_step="Mend the reference or what it names, then verify again.",
        )
    context.shared.secrets.extend(headers.values())
    exchange = context.send(extra.method, extra.path, headers=headers)
    if exchange.status != extra.status:
        return _other_status(extra, exchange, context)
    if extra.json_path is None:
        return passed(f"{extra.method} {extra.path} answers {extra.status}")
    found = _at(exchange.body, extra.json_path)
    if found == extra.json_value:
        return passed(f"{extra.json_path} is {json.dumps(extra.json_value)[:EXCERPT]}")
    told = "nothing" if found is _MISSING else json.dumps(found)[:EXCERPT]
    return failed(
        f"{extra.json_path} is {told}, {json.dumps(extra.json_value)[:EXCERPT]} was expected",
        code="extra-value",
        cause="What answers there is in another state than the settings expect, or is another service.",
        next_step=f"Ask for {extra.path} by hand; then mend it, or the check in verify.extraChecks.",
    )


def _other_status(extra: ExtraCheck, exchange: Exchange, context: Context) -> Finding:
    failure = FailureContext(part=Part.SERVER, host=context.subject.host, access=context.shared.access)
    found = explain(exchange, failure)
    if exchange.trouble is not None or (not exchange.ok and found.code != "refused-request"):
        return found
    return (
        failed(
            f"{exchange.what} answered {exchange.status}, {extra.status} was expected",
            code="extra-status",
            cause="What answers there is in another state than the settings expect, or is another service.",
            next_step=f"Ask for {extra.path} by hand; then mend it, or the check in verify.extraChecks.",
        )
        if found.result is Result.FAIL
        else found
    )


def _at(body: bytes, path: str) -> object:
    """The value at a path such as `$.models[0].id`; a mark of its own where there is none."""
    try:
        value: Any = json.loads(body)
    except ValueError:
        return _MISSING
    for name, index in _STEP.findall(path.removeprefix("$")):
        if index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        elif name and isinstance(value, dict) and name in value:
            value = value[name]
        else:
            return _MISSING
    return value
