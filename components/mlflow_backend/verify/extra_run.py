"""The checks that make the user's own requests: for a gateway or an API in front of MLflow."""

from __future__ import annotations

import json
import re
import time
import uuid
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlflow_backend.contract import Refused, UsageError
from mlflow_backend.saved_values import filled
from mlflow_backend.verify.check import Check
from mlflow_backend.verify.client import Deadline
from mlflow_backend.verify.credentials import read_reference
from mlflow_backend.verify.model import Finding, Part, Request, Unexpected, failed, inconclusive, passed
from mlflow_backend.verify.observed import EXCERPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow_backend.verify.context import Context
    from mlflow_backend.verify.extra import ExtraCheck, Upload
    from mlflow_backend.verify.model import Exchange

PAUSE_S: Final = 1.0
"""Between two requests of a check that waits for its answer."""
_STEP: Final = re.compile(r"\.?([^.\[\]]+)|\[(\d+)\]")
_MISSING: Final = object()


def checks_of(extras: Iterable[ExtraCheck]) -> tuple[Check, ...]:
    """Return the checks `extra-NAME`, which make these requests, each after those whose values it uses.

    Raises UsageError for a value that no check before saves.
    """
    savers: dict[str, str] = {}
    found = []
    for extra in extras:
        unsaved = sorted(extra.uses - set(savers))
        if unsaved:
            raise UsageError(
                f"extraChecks: {extra.name} uses {', '.join(unsaved)}, which no check before it saves",
                code="extra-check-unsaved",
            )
        found.append(_check_of(extra, tuple(dict.fromkeys(savers[name] for name in sorted(extra.uses)))))
        savers |= dict.fromkeys(extra.save, found[-1].name)
    return tuple(found)


def _check_of(extra: ExtraCheck, needs: tuple[str, ...]) -> Check:
    def run(context: Context) -> Finding:
        return _run(extra, context)

    run.__doc__ = f"{extra.method} {extra.path} answers {extra.status}."
    return Check(name=f"extra-{extra.name}", part=Part.SERVER, run=run, needs=("health", *needs))


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
    request = _request(extra, headers, context.shared.saved)
    patience = Deadline(min(extra.within or 0, context.deadline.left()))
    while True:
        exchange = context.send(request)
        if _problem(extra, exchange) is None or patience.left() < PAUSE_S:
            break
        time.sleep(PAUSE_S)
    return _judged(extra, exchange, context.shared.saved)


def _request(extra: ExtraCheck, headers: Mapping[str, str], saved: Mapping[str, str]) -> Request:
    """The request with the saved values in it: quoted in the path, so that none can become another path."""
    path = filled(extra.path, saved, lambda value: quote(value, safe=""))
    body, content_type = None, {}
    if extra.upload is not None:
        body, kind = _form(extra.upload, filled(extra.upload.text, saved))
        content_type = {"Content-Type": kind}
    elif extra.body is not None:
        text = filled(json.dumps(extra.body), saved, lambda value: json.dumps(value)[1:-1])
        body, content_type = text.encode(), {"Content-Type": "application/json"}
    return Request(extra.method, path, endpoint=extra.path, body=body, headers={**content_type, **headers})


def _form(upload: Upload, text: str) -> tuple[bytes, str]:
    """A form with one file, and its content type (RFC 7578)."""
    boundary = uuid.uuid4().hex
    field, name = (value.replace('"', "%22") for value in (upload.field, upload.name))
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="{field}"; filename="{name}"\r\n'
    body = f"{head}Content-Type: application/octet-stream\r\n\r\n{text}\r\n--{boundary}--\r\n"
    return body.encode(), f"multipart/form-data; boundary={boundary}"


def _judged(extra: ExtraCheck, exchange: Exchange, saved: dict[str, str]) -> Finding:
    problem = _problem(extra, exchange)
    if problem is not None:
        code, sentence = problem
        waited = f", for {extra.within} s" if extra.within else ""
        finding = _other(extra, code, sentence + waited)
        if code == "extra-status":
            raise Unexpected(exchange, otherwise=finding)
        return finding
    for name, path in extra.save.items():
        value = _at(exchange.body, path)
        if not isinstance(value, str | int | float):
            return _other(extra, "extra-unsaved", f"the answer has no text or number at {path}, to save as {name}")
        saved[name] = str(value)
    if extra.json_path is None:
        return passed(f"{extra.method} {extra.path} answers {extra.status}")
    return passed(f"{extra.json_path} is {json.dumps(extra.json_value)[:EXCERPT]}")


def _problem(extra: ExtraCheck, exchange: Exchange) -> tuple[str, str] | None:
    """The code and the sentence of what is not as expected; None if all is."""
    if exchange.status != extra.status:
        answered = exchange.status or exchange.trouble
        return "extra-status", f"{exchange.called} answered {answered}, {extra.status} was expected"
    if extra.json_path is None:
        return None
    found = _at(exchange.body, extra.json_path)
    if found == extra.json_value:
        return None
    shown = "nothing" if found is _MISSING else json.dumps(found)[:EXCERPT]
    expected = json.dumps(extra.json_value)[:EXCERPT]
    return "extra-value", f"{extra.json_path} is {shown}, {expected} was expected"


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
