"""The type of a rule, and the small conditions that rules are put together from. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from mlflow_backend.verify.model import Certainty, Exchange, Part, Result, Trouble
from mlflow_backend.verify.observed import FailureContext, breaks_off, looks_like_html, mlflow_error

LOGS: Final = "Read the server's log (make logs) around this time."

Matches = Callable[[Exchange, FailureContext], bool]


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One cause: when it applies, how sure it is, its text, what to do.

    Texts may use {host}, {what}, {timeout}, {detail}. Only what the server, the system or TLS itself said is KNOWN.
    """

    code: str
    when: Matches
    cause: str
    next_step: str
    certainty: Certainty = Certainty.LIKELY
    result: Result = Result.FAIL


def trouble(*troubles: Trouble, part: Part | None = None) -> Matches:
    """The exchange broke in one of these ways (and the check was for this part)."""
    return lambda x, s: x.trouble in troubles and part in {None, s.part}


def status(*statuses: int, part: Part | None = None) -> Matches:
    """The answer had one of these statuses (and the check was for this part)."""
    return lambda x, s: x.status in statuses and part in {None, s.part}


def says(pattern: str) -> Matches:
    """An answer that is no success holds this pattern, in any case of letters."""
    compiled = re.compile(pattern.encode(), re.IGNORECASE)
    return lambda x, _s: x.status is not None and not x.ok and compiled.search(x.body) is not None


def error_code(*codes: str) -> Matches:
    """MLflow answered with one of these error codes."""
    return lambda x, _s: x.status is not None and mlflow_error(x)[0] in codes


def every(*rules: Matches) -> Matches:
    """All of these match."""
    return lambda x, s: all(rule(x, s) for rule in rules)


def either(rule: Matches) -> Matches:
    """This matches the exchange, or the second one that the check made to distinguish causes."""
    return lambda x, s: rule(x, s) or (s.also is not None and rule(s.also, s))


def any_of(*rules: Matches) -> Matches:
    """One of these matches."""
    return lambda x, s: any(rule(x, s) for rule in rules)


def part(wanted: Part) -> Matches:
    """The check was for this part."""
    return lambda _x, s: s.part is wanted


def is_fresh(_exchange: Exchange, failure: FailureContext) -> bool:
    """The request named what was made moments ago."""
    return failure.fresh


def is_large(_exchange: Exchange, failure: FailureContext) -> bool:
    """The request carried a large body, and a small one passed before."""
    return failure.large


def method(*methods: str) -> Matches:
    """The request had one of these methods."""
    return lambda x, _s: x.method in methods


def unless(rule: Matches) -> Matches:
    """This does not match."""
    return lambda x, s: not rule(x, s)


def is_from_mlflow(exchange: Exchange, _failure: FailureContext) -> bool:
    """MLflow answered, in its own shape of errors."""
    return mlflow_error(exchange)[0] != ""


def store_lists(_exchange: Exchange, failure: FailureContext) -> bool:
    """The store answered a listing after an upload had failed."""
    return failure.also is not None and failure.also.ok


def download_breaks(_exchange: Exchange, failure: FailureContext) -> bool:
    """The server breaks off a download of what is not there, before the store could say so."""
    missing = failure.missing
    return missing is not None and is_server_error(missing, failure) and mlflow_error(missing)[0] == ""


def is_refused_by_name(_exchange: Exchange, failure: FailureContext) -> bool:
    """The same request passes under a browser's name."""
    return failure.agent_refused


def is_cut(exchange: Exchange, _failure: FailureContext) -> bool:
    """A success whose JSON breaks off."""
    return exchange.ok and breaks_off(exchange.body)


def is_encoded(exchange: Exchange, _failure: FailureContext) -> bool:
    """A success that is compressed without saying so, or in a way that was not asked for."""
    said = exchange.headers.get("content-encoding", "identity").strip().lower()
    is_compressed = exchange.body[:2] in _COMPRESSED
    return exchange.ok and (said not in _ENCODINGS or is_compressed)


_ENCODINGS: Final = frozenset({"", "identity", "gzip", "x-gzip", "deflate"})
_COMPRESSED: Final = frozenset({b"\x1f\x8b", b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda", b"\x28\xb5"})
"""How bodies begin that were compressed by gzip, zlib or zstd."""


def is_anonymous(_exchange: Exchange, failure: FailureContext) -> bool:
    """No credentials were named for the verification."""
    return failure.access == "none"


def is_server_error(exchange: Exchange, _failure: FailureContext) -> bool:
    """The answer had a status of 500 or above."""
    return exchange.status is not None and exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def is_page(exchange: Exchange, _failure: FailureContext) -> bool:
    """A web page came."""
    return looks_like_html(exchange.body)


def is_login(exchange: Exchange, _failure: FailureContext) -> bool:
    """A login page for people came, or a redirect to one."""
    if exchange.status is None or is_server_error(exchange, _failure):
        return False
    location = exchange.headers.get("location", "")
    return bool(
        re.search(r"login|signin|sign-in|oauth|accounts\.|/auth\b|saml", location, re.IGNORECASE)
        or (
            looks_like_html(exchange.body)
            and re.search(rb"type=[\"']?password|sign in|log ?in", exchange.body, re.IGNORECASE)
        )
    )
