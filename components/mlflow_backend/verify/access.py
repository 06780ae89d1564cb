"""Checks at the door: credentials are asked for and accepted, browsers from the public URL are let in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.artifacts import ROUTE
from mlflow_backend.verify.context import REST
from mlflow_backend.verify.model import Exchange, Finding, Request, Unexpected, failed, passed, skipped
from mlflow_backend.verify.serving import FOREIGN

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

REFUSALS: Final = frozenset({401, 403})
REDIRECTS: Final = frozenset({302, 303, 307})
"""How a server refuses whom it does not know: by status, or by sending a person to a login page."""


def credentials(context: Context) -> Finding:
    """Credentials are accepted, and nothing is given without them."""
    if not context.subject.guarded:
        return skipped("access is off here: the server answers anyone who reaches it")
    context.get("experiments/search", max_results=1)
    doors = {
        "the API": (f"{REST}/experiments/search", {"max_results": "1"}),
        "the artifact route": (ROUTE, {"path": ""}),
    }
    for door, (path, query) in doors.items():
        exchange = context.send(Request("GET", path, query=query, anonymous=True))
        if exchange.ok:
            return failed(
                f"{door} answered {exchange.status} without credentials",
                code="access-open",
                cause="Access control is off or does not cover this route: anyone who reaches the URL can read it.",
                next_step="Set access in the settings and deploy; see that nothing in front adds its own credentials.",
            )
        if not _refused(exchange):
            raise Unexpected(exchange)
    return passed("accepted with credentials, refused without")


def origin(context: Context) -> Finding:
    """Pages of the public URL and of each origin in the settings may write, and no others."""
    parts = urlsplit(context.subject.url)
    origins = context.subject.origins or (f"{parts.scheme}://{parts.netloc}",)
    for each in origins:
        Answer.of(_from_page(context, each))
    if context.subject.origins and _from_page(context, f"https://{FOREIGN}").ok:
        return failed(
            f"a page of https://{FOREIGN} may write, and nobody named it",
            code="origin-open",
            cause="Something in front takes the Origin away, or MLflow's check of it is off.",
            next_step="Let the front pass Origin as it comes, and see what the server was started with.",
        )
    return passed(f"pages of {', '.join(origins)} may write")


def _from_page(context: Context, origin: str) -> Exchange:
    headers = {"Origin": origin}
    return context.send(Request("POST", f"{REST}/experiments/search", json={"max_results": 1}, headers=headers))


def _refused(exchange: Exchange) -> bool:
    return exchange.status in REFUSALS or exchange.status in REDIRECTS
