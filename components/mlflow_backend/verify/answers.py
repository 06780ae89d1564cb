"""MLflow's JSON answers, read without trusting their shape: what is not as MLflow answers is `Unexpected`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.verify.model import Exchange, Finding, Unexpected, failed, inconclusive, passed
from mlflow_backend.verify.observed import EXCERPT

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN: Final = 3
"""Entries of a mapping that a sentence quotes."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A JSON object that came with a 2xx status. `fresh` says that the request named what was made moments ago."""

    exchange: Exchange
    document: dict[str, Any]
    fresh: bool = False

    @classmethod
    def of(cls, exchange: Exchange, *, fresh: bool = False) -> Answer:
        """Read an exchange's body.

        Raises `Unexpected` for another status than 2xx, for what is no JSON, and for JSON that is no object.
        """
        if not exchange.ok:
            raise Unexpected(exchange, fresh=fresh)
        try:
            document = json.loads(exchange.body)
        except ValueError:
            raise Unexpected(exchange, fresh=fresh) from None
        if not isinstance(document, dict):
            raise Unexpected(exchange, fresh=fresh)
        return cls(exchange=exchange, document=document, fresh=fresh)

    def text(self, *keys: str) -> str:
        """The text (or number, as text) under nested keys.

        Raises `Unexpected` when there is none, or an empty one.
        """
        value: Any = self.document
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, str | int) or value == "":
            raise Unexpected(self.exchange, fresh=self.fresh)
        return str(value)

    def items(self, *keys: str) -> list[dict[str, Any]]:
        """The list of objects under nested keys; empty when it is missing, because MLflow leaves empty lists out.

        Raises `Unexpected` when something else is there.
        """
        value: Any = self.document
        for key in keys:
            value = value.get(key, {}) if isinstance(value, dict) else None
        items = [] if value == {} else value
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise Unexpected(self.exchange, fresh=self.fresh)
        return items


def pairs(items: list[dict[str, Any]]) -> dict[str, Any]:
    """MLflow's lists of key and value as a mapping."""
    return {str(item.get("key")): item.get("value") for item in items}


def same(what: str, *, written: object, read: object) -> Finding:
    """Compare what was written with what was read back; of mappings only the entries that differ are shown."""
    if written == read:
        return passed(what)
    if isinstance(written, dict) and isinstance(read, dict):
        keys = [key for key in {**written, **read} if written.get(key) != read.get(key)]
        written, read = ({key: side[key] for key in keys[:_SHOWN] if key in side} for side in (written, read))
        what += f" ({len(keys)} differ)"
    return failed(
        f"{what}: wrote {shortened(repr(written))}, read {shortened(repr(read))}",
        code="stale-or-lost",
        cause=(
            "What was just written reads back otherwise: a cache or a lagging replica answers, writes go elsewhere, or "
            "the database discards or changes them (a trigger, a rule)."
        ),
        next_step=(
            "Let nothing cache or rewrite /api; see that all servers behind the URL share one database and read from "
            "its primary, and which triggers its tables have."
        ),
    )


def platform_unknown(sentence: str, error: Exception) -> Finding:
    """The finding of a check whose question the platform's reader could not answer."""
    return inconclusive(
        f"{sentence} ({type(error).__name__})",
        code="platform-unknown",
        cause=str(error) or "The reader of the platform gave no reason.",
        next_step="Fix the access to the platform, then verify again (make verify).",
    )


def first_red(findings: Iterable[Finding], sentence: str) -> Finding:
    """The first finding that is not green; a green one with this sentence if all are."""
    return next((finding for finding in findings if finding.code), passed(sentence))


def shortened(text: str) -> str:
    """A text that fits into a sentence."""
    return text if len(text) <= EXCERPT else text[: EXCERPT - 1] + "…"
