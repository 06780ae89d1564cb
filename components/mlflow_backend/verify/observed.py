"""Readings of an exchange, without any decision: MLflow's own errors, web pages, excerpts for people. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mlflow_backend.verify.model import Exchange, Part

_LONGEST_WORD: Final = len("-Infinity")
EXCERPT: Final = 160
"""Characters of a server's own message that a sentence quotes."""


@dataclass(frozen=True, kw_only=True)
class FailureContext:
    """What is known around an exchange when its cause is looked for.

    `fresh` means that the request names a thing which the verifier made moments ago; `large`, that it carries a large
    body if a small one passed; `also` is a second exchange that the check made to distinguish causes, and `missing`
    what the download of an artifact answers that is not there. `agent_refused`: the same request passes under a
    browser's name.
    """

    part: Part
    host: str
    access: str = "none"
    fresh: bool = False
    large: bool = False
    also: Exchange | None = None
    missing: Exchange | None = None
    agent_refused: bool = False


def mlflow_error(exchange: Exchange) -> tuple[str, str]:
    """The error code and the shortened message of an MLflow error body; two empty texts for any other body."""
    try:
        document = json.loads(exchange.body)
    except ValueError:
        return "", ""
    if not isinstance(document, dict) or not isinstance(document.get("error_code"), str | int):
        return "", ""
    return str(document["error_code"]), _shorten(str(document.get("message", "")))


def breaks_off(body: bytes) -> bool:
    """Whether a body is the beginning of a JSON document and not all of it."""
    text = body.decode("utf-8", errors="ignore").rstrip()
    if text[:1] not in {"{", "["}:
        return False
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        # A reader stumbles over the last word; of a text that was cut it names where the text begins.
        return len(text) - error.pos <= _LONGEST_WORD or error.msg.startswith("Unterminated string")
    return False


def looks_like_html(body: bytes) -> bool:
    """Whether a body is a web page."""
    return bool(re.match(rb"\s*<(!doctype|html|head|body)", body, re.IGNORECASE))


def plain(body: bytes) -> str:
    """A body in a few words: a page's title, or the beginning of the text."""
    text = body[:4096].decode("utf-8", errors="replace")
    if looks_like_html(body):
        title = re.search(r"<title[^>]*>([^<]*)</title>", text, re.IGNORECASE)
        return f"a web page titled {title.group(1).strip()!r}" if title else "a web page"
    return _shorten(text)


def _shorten(text: str) -> str:
    printable = "".join(character if character.isprintable() else " " for character in text)
    flat = " ".join(printable.split())
    return flat if len(flat) <= EXCERPT else flat[: EXCERPT - 1] + "…"
