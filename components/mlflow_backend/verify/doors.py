"""Checks with no credentials and with wrong ones, on each family of routes, and of what proxies say of a caller.

Which routes a version has stands in `routes.json` of the server package, made from the installed packages.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlflow_backend.packaged import TABLES
from mlflow_backend.verify.model import Exchange, Finding, Request, Unexpected, failed, passed, skipped
from mlflow_backend.verify.plugin import COMPONENTS

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

_TABLE: Final = TABLES / "routes.json"
_REFUSALS: Final = frozenset({301, 302, 303, 307, 308, 401, 403, 429})
"""By status, or by sending a person to a login page or to the path without a slash too many."""
_SPOOFED: Final = "203.0.113.77"
"""Of a network that is for examples (RFC 5737): no caller has it."""


def doors(context: Context) -> Finding:
    """No family of routes answers whoever has no credentials, or wrong ones."""
    if not context.subject.guarded:
        return skipped("access is off here: the server answers anyone who reaches it")
    routes = families(context.shared.served_version or "")
    if not routes:
        return skipped(f"the routes of MLflow {context.shared.served_version} are not known here")
    name = f"verify-{secrets.token_hex(4)}"
    wrong = {
        "X-API-Key": f"mlfb_{secrets.token_urlsafe(32)}",
        "Authorization": "Basic " + base64.b64encode(f"{name}:wrong".encode()).decode(),
    }
    for family, (method, path) in routes.items():
        for who, headers in (("without credentials", {}), ("with wrong credentials", wrong)):
            endpoint = f"door {family}"
            exchange = context.send(
                Request(method, path, endpoint=endpoint, headers=headers, anonymous=True, json=_body(method))
            )
            if exchange.status not in _REFUSALS:
                return _open(family, f"{method} {path}", who, exchange)
    return passed(f"{len(routes)} families of routes refuse whoever has no credentials, or wrong ones")


def families(version: str) -> dict[str, tuple[str, str]]:
    """Return a method and a path for each family of routes, reading and changing, that must not be open."""
    found: dict[str, tuple[str, str]] = {}
    for line in _tables().get(version, []):
        stack, method, guard, scope, template = line.split(" ", 4)
        if guard != "open" and "<path:" not in template:
            found.setdefault(
                f"{stack} {_family(template)} {scope}", (method, re.sub(r"<[^>]+>|\{[^}]+\}", "0", template))
            )
    return found


def _family(template: str) -> str:
    """Return the name of a route's family: its first part below MLflow's own, or below the root."""
    parts = re.sub(r"^/(ajax-)?api/\d\.0/?", "/", template).removeprefix("/mlflow").split("/")
    return parts[1] if len(parts) > 1 else ""


@cache
def _tables() -> dict[str, list[str]]:
    return dict(json.loads(_TABLE.read_text(encoding="utf-8")))


def _body(method: str) -> dict[str, Any] | None:
    return None if method == "GET" else {}


def _open(family: str, route: str, who: str, exchange: Exchange) -> Finding:
    if exchange.status is None or exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Unexpected(exchange)
    return failed(
        f"{route} answered {exchange.status} {who}",
        code="door-open",
        cause=f"Access control does not cover the family {family}: anyone who reaches the URL can call it.",
        next_step="See that the server runs this project's plugin, and that nothing in front adds credentials.",
    )


def forwarding(context: Context) -> Finding:
    """Host, scheme and address of a caller arrive at the server as they are, whatever he writes into a header."""
    if not context.subject.proxied:
        return skipped("it is called at its own address, in front of which nothing stands")
    exchange = context.send(Request("GET", COMPONENTS, headers={"X-Forwarded-For": _SPOOFED}))
    if exchange.status not in {HTTPStatus.OK, HTTPStatus.SERVICE_UNAVAILABLE}:
        return skipped("no /health/components here: the server runs without this project's plugin")
    try:
        seen = json.loads(exchange.body).get("request")
    except ValueError:
        raise Unexpected(exchange) from None
    if not isinstance(seen, dict):
        return skipped("the server does not say how a request looks from there")
    url = urlsplit(context.subject.url)
    wrong = [
        f"{what} is {seen.get(what)} there and {meant} here"
        for what, meant in (("host", url.netloc), ("scheme", url.scheme))
        if seen.get(what) != meant and not (what == "scheme" and context.subject.plain_http)
    ]
    if seen.get("client") == _SPOOFED or not seen.get("forwarded"):
        wrong.append("the address of a caller is what he says himself")
    if wrong:
        return failed(
            "; ".join(wrong),
            code="not-forwarded",
            cause="What stands in front does not pass on who calls: limits, logs and redirects go wrong.",
            next_step="Let it keep Host, and set X-Forwarded-For and X-Forwarded-Proto itself.",
        )
    return passed(f"{seen.get('scheme')}, {seen.get('host')} and the caller's address arrive")
