"""The checks that make the user's own requests: for a gateway or an API in front of MLflow."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused
from mlflow_backend.verify.check import Check
from mlflow_backend.verify.credentials import read_reference
from mlflow_backend.verify.model import Finding, Part, Request, Unexpected, failed, inconclusive, passed
from mlflow_backend.verify.observed import EXCERPT

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context
    from mlflow_backend.verify.extra import ExtraCheck

_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_MISSING: Final = object()


def check_of(extra: ExtraCheck) -> Check:
    """Return the check `extra-NAME`, which makes the request of `extra`."""

    def run(context: Context) -> Finding:
        return _run(extra, context)

    run.__doc__ = f"{extra.method} {extra.path} answers {extra.status}."
    return Check(name=f"extra-{extra.name}", part=Part.SERVER, run=run, needs=("health",))


def _run(extra: ExtraCheck, context: Context) -> Finding:
    try:
        headers = {
            name: read_reference(f"header {name}", reference, context.subject.live.secrets)
            for name, reference in extra.headers.items()
        }
    except Refused as error:
        return inconclusive(
            "a header of this check cannot be read",
            code="credentials-unreadable",
            cause=str(error),
            next_step="Correct the reference or what it names, then verify again.",
        )
    context.shared.secrets.extend(headers.values())
    exchange = context.send(Request(extra.method, extra.path, headers=headers))
    if exchange.status != extra.status:
        raise Unexpected(
            exchange,
            otherwise=_other(
                extra, "extra-status", f"{exchange.called} answered {exchange.status}, {extra.status} was expected"
            ),
        )
    if extra.json_path is None:
        return passed(f"{extra.method} {extra.path} answers {extra.status}")
    found = _at(exchange.body, extra.json_path)
    if found == extra.json_value:
        return passed(f"{extra.json_path} is {json.dumps(extra.json_value)[:EXCERPT]}")
    shown = "nothing" if found is _MISSING else json.dumps(found)[:EXCERPT]
    expected = json.dumps(extra.json_value)[:EXCERPT]
    return _other(extra, "extra-value", f"{extra.json_path} is {shown}, {expected} was expected")


def _other(extra: ExtraCheck, code: str, sentence: str) -> Finding:
    return failed(
        sentence,
        code=code,
        cause="The service at this path is in another state than the settings expect, or is another service.",
        next_step=f"Request {extra.path} by hand; then correct it, or the check in verify.extraChecks.",
    )


def _at(body: bytes, path: str) -> object:
    """The value at a path such as `$.models[0].id`; `_MISSING` if there is none."""
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
