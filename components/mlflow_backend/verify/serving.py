"""Checks that the right server answers at the URL: health, version, revision, Host, UI; Redis as far as it shows.

Each check is a function of a context whose docstring's first line says what it shows. It returns a finding, or raises
`Unexpected` with an exchange whose cause `causes` finds.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from mlflow_backend.verify.answers import platform_unknown
from mlflow_backend.verify.context import REST
from mlflow_backend.verify.model import (
    Certainty,
    Finding,
    Request,
    Trouble,
    Unexpected,
    failed,
    passed,
    skipped,
)

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context
    from mlflow_backend.verify.model import Exchange

FOREIGN: Final = "not-this-backend.invalid"
"""A host that no backend has (RFC 2606)."""
NOT_FOUND: Final = 404
UNAVAILABLE: Final = 503
_NO_PAGE: Final = b"landing page (index.html) not found"
"""What MLflow answers at / with status 200 if its own files are gone (mlflow/server/__init__.py, 2.9.2 and 3.17.2)."""
HEALTH_TRIES: Final = 4
HEALTH_PAUSE_S: Final = 0.25
"""A refused connection is tried again for about a second, because a front may reload; nobody waits here for a start."""


def health(context: Context) -> Finding:
    """The server answers at its URL."""
    exchange = context.send(Request("GET", "/health"))
    for _ in range(HEALTH_TRIES - 1):
        if exchange.trouble is not Trouble.REFUSED:
            break
        time.sleep(min(HEALTH_PAUSE_S, context.deadline.left()))
        exchange = context.send(Request("GET", "/health"))
    if not exchange.ok or exchange.body.strip() != b"OK":
        raise Unexpected(exchange)
    return passed("/health answers OK")


def version(context: Context) -> Finding:
    """The server is of the version declared."""
    exchange = context.send(Request("GET", "/version"))
    text = exchange.body.decode("ascii", errors="replace").strip()
    if not exchange.ok or not re.fullmatch(r"\d+\.\d+\.\d+\S{0,20}", text):
        raise Unexpected(exchange)
    context.shared.served_version = text
    declared = context.subject.expected_version
    if declared is None:
        return passed(f"MLflow {text} is served; none was declared")
    if text != declared:
        return failed(
            f"MLflow {text} is served, {declared} was declared",
            code="wrong-version",
            cause=(
                "Another revision answers: an orphan of an old one holds the port, the platform rolled back, or the "
                "image is another."
            ),
            next_step="Compare the running revision with the intended one, and end what still runs of the old.",
        )
    return passed(f"MLflow {text} is served, as declared")


def revision(context: Context) -> Finding:
    """The platform runs the revision intended."""
    intended, ask = context.subject.expected_revision, context.subject.live.running
    if ask is None or intended is None:
        return skipped("no platform and no revision are named; a deployed stack has them")
    try:
        running = ask()
    except Exception as error:  # noqa: BLE001 - whatever the platform's reader meets, the revision is not known
        return platform_unknown("the platform could not be asked which revision runs", error)
    context.shared.served_revision = running or None
    if running != intended:
        return failed(
            f"revision {running or '(none)'} runs, {intended} was intended",
            code="wrong-revision",
            cause="The platform rolled back, or never switched to the new revision.",
            next_step="Read the platform's reasons for the intended revision (make logs), then deploy again.",
        )
    return passed(f"revision {running} runs, as intended")


def host(context: Context) -> Finding:
    """The server accepts each Host that clients send, and no other."""
    # /health and /version are exempt from MLflow's host check: only a route of the API shows it.
    context.get("experiments/search", max_results=1)
    hosts = context.subject.hosts
    for other in hosts:
        exchange = _called(context, other)
        if not exchange.ok:
            return failed(
                f"Host {other} is refused with {exchange.status or exchange.trouble}",
                code="host-refused",
                cause="The server is configured to accept it, so something in front of it refuses or changes it.",
                next_step="Let the front pass Host as it comes, or remove the host from access.hosts.",
            )
    if hosts and _called(context, FOREIGN).ok:
        return failed(
            f"Host {FOREIGN} is accepted, and nobody named it",
            code="host-open",
            cause="Something in front changes the Host, or MLflow's host check is off: DNS rebinding is possible.",
            next_step="Let the front pass Host as it comes, and see what the server was started with.",
        )
    return passed(f"Host {', '.join(hosts) or context.subject.host} is accepted")


def _called(context: Context, host: str) -> Exchange:
    path, query = f"{REST}/experiments/search", {"max_results": "1"}
    return context.send(Request("GET", path, query=query, headers={"Host": host}))


def ui(context: Context) -> Finding:
    """The UI's page and its script bundle load."""
    page = context.send(Request("GET", "/"))
    if not page.ok:
        raise Unexpected(page)
    scripts = re.findall(rb"<script[^>]+src=[\"']?([^\"'\s>]+)", page.body)
    if _NO_PAGE in page.body:
        return failed(
            "MLflow finds its own page at / no more",
            code="no-ui-files",
            cause="The files of the server's environment are gone: the cache or image that it runs from was changed.",
            next_step="Update the stack, which installs them again, then verify again.",
            certainty=Certainty.KNOWN,
        )
    if not scripts:
        return failed(
            "the page at / names no script",
            code="no-ui",
            cause="What answers at / is not MLflow's UI.",
            next_step="See what the front routes / to.",
        )
    sizes = [_bundle(context, script.decode("utf-8", errors="replace")) for script in scripts]
    if None in sizes:
        return failed(
            "a script of the page is empty, or is no script",
            code="no-bundle",
            cause="Something in front answers static files itself, often with a page of its own.",
            next_step="Let the front pass /static-files to MLflow.",
        )
    return passed(f"page and script bundle load ({sum(filter(None, sizes)) / 1e6:.1f} MB)")


def _bundle(context: Context, source: str) -> int | None:
    """The size of a script of the page in bytes, None when it is no script."""
    base = context.shared.client.url + "/"
    path = urlsplit(urljoin(base, source)).path.removeprefix(context.shared.client.prefix)
    exchange = context.send(Request("GET", path, endpoint="/static-files/*.js"))
    if not exchange.ok:
        raise Unexpected(exchange)
    is_script = "javascript" in exchange.headers.get("content-type", "") and exchange.body.lstrip()[:1] not in {
        b"",
        b"<",
    }
    return len(exchange.body) if is_script else None
