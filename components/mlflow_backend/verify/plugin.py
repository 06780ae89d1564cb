"""Checks of what this project's plugin adds to MLflow: what the server itself says of its parts and of its readiness.

A server without the plugin answers 404 there, and the skip says so. Without credentials the plugin says no more than
that something is wrong; with them, what.
"""

from __future__ import annotations

import time
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.model import Certainty, Exchange, Finding, Request, Unexpected, failed, passed, skipped
from mlflow_backend.verify.observed import EXCERPT

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

COMPONENTS: Final = "/health/components"
READY: Final = "/health/ready"
_LOST: Final = "tables are missing"
"""What the plugin says of a database that has lost tables (mlflow_backend_server.health.tables)."""
AGAIN_S: Final = (2.5, 3.0)
"""Pauses before a server that says it is degraded is asked again: it keeps what it found for five seconds, and a part
that was slow once, on a machine that is busy starting things, is no fault."""


def components(context: Context) -> Finding:
    """Each part that the server needs works, by the server's own account."""
    exchange = _ask(context, COMPONENTS)
    if exchange is None:
        return skipped("no /health/components here: the server runs without this project's plugin")
    parts = _parts(exchange)
    down = {name: part for name, part in parts.items() if part.get("state") == "failed"}
    if exchange.status == HTTPStatus.OK:
        working = [name for name, part in parts.items() if part.get("state") == "ok"]
        return passed(f"{', '.join(working) or 'all parts'} work, by the server's own account")
    return _down(down, context.subject.stack)


def ready(context: Context) -> Finding:
    """The server is ready: its database is reached, and at the schema that this MLflow version needs."""
    exchange = _ask(context, READY)
    if exchange is None:
        return skipped("no /health/ready here: the server runs without this project's plugin")
    if exchange.status == HTTPStatus.OK:
        return passed("the database is reached, and its schema is this version's")
    detail = str(Answer.of(replace(exchange, status=HTTPStatus.OK)).document.get("detail", ""))[:EXCERPT]
    if " is at " in detail:
        return failed(
            detail,
            code="schema-mismatch",
            cause="The database's schema is not the one that this MLflow version needs.",
            next_step="Migrate it, or restore the dump of the version that runs.",
        )
    return failed(
        detail or "the server says that it is not ready",
        code="not-ready",
        cause="The server cannot work with its database.",
        next_step="See that the database runs, takes the server's connections, and has been migrated.",
    )


def redis(context: Context) -> Finding:
    """Redis serves what uses it."""
    exchange = _ask(context, COMPONENTS)
    part = {} if exchange is None else _parts(exchange).get("redis", {})
    if part.get("state") == "failed":
        return _down({"redis": part}, context.subject.stack)
    if part.get("state") == "ok":
        return passed("works, by the server's own account")
    if context.subject.jobs and not part:
        return skipped("jobs use it, but neither MLflow's REST API nor a plugin shows it here")
    return skipped("nothing uses it: jobs and limits of API keys are off")


def _ask(context: Context, path: str) -> Exchange | None:
    """What the plugin answers, good or bad; None if there is no plugin.

    Raises `Unexpected` for everything else.
    """
    exchange = context.send(Request("GET", path))
    for pause in AGAIN_S:
        if exchange.status != HTTPStatus.SERVICE_UNAVAILABLE or context.deadline.left() < 2 * pause:
            break
        time.sleep(pause)
        exchange = context.send(Request("GET", path))
    if exchange.status == HTTPStatus.NOT_FOUND:
        return None
    # A 503 of the plugin carries the same document as its 200.
    unavailable = exchange.status == HTTPStatus.SERVICE_UNAVAILABLE
    try:
        document = Answer.of(replace(exchange, status=HTTPStatus.OK) if unavailable else exchange).document
    except Unexpected:
        raise Unexpected(exchange) from None
    if "status" not in document:
        raise Unexpected(exchange)
    return exchange


def _parts(exchange: Exchange) -> dict[str, dict[str, Any]]:
    parts = Answer.of(replace(exchange, status=HTTPStatus.OK)).document.get("components", {})
    return {name: part for name, part in parts.items() if isinstance(part, dict)} if isinstance(parts, dict) else {}


def _down(parts: dict[str, dict[str, Any]], stack: str) -> Finding:
    names = ", ".join(parts) or "one of its parts"
    details = "; ".join(str(part.get("detail", "")) for part in parts.values())[:EXCERPT]
    sentence = f"the server cannot use {names}" + (f": {details}" if details else "")
    if _LOST in details:
        return failed(
            sentence,
            code="table-lost",
            cause="Tables of the served MLflow were dropped or renamed, or the database was copied without all of it.",
            next_step="Compare it with a fresh database of this version, or restore a dump of it.",
            certainty=Certainty.KNOWN,
        )
    if set(parts) == {"keys"}:
        return failed(
            details or "the server says that its encryption keys are not in order",
            code="keys-at-rest",
            cause="Secrets of webhooks or of the gateway are not under the stack's own keys: under MLflow's public "
            "defaults, or under keys that are lost.",
            next_step=f"Draw new keys with `python -m scripts.rotate_keys --stack {stack}`, and update; give each "
            "secret that stays unread again.",
        )
    return failed(
        sentence,
        code="component-down",
        cause=f"It is {names} that is down, cannot be reached from the server, refuses it, or is not as it must be.",
        next_step="Do what the server's words above ask for; see that it runs and takes connections from the server.",
    )
