"""Lines of the audit that servers write among their log, as people read them. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MARK: Final = '"kind":"audit"'
"""What a line of the audit has in it, as the server writes it (server/src/mlflow_backend_server/http/record.py)."""


def lines(log: Iterable[str]) -> list[dict[str, Any]]:
    """Return the entries of the audit among lines of a log, oldest first; what is no whole entry is left out."""
    found = [entry for line in log if MARK in line and (entry := _entry(line)) is not None]
    ordered = sorted(found, key=lambda entry: str(entry.get("time", "")))
    # What no request changed, every worker of a server has seen.
    return [
        entry
        for number, entry in enumerate(ordered)
        if "request_id" in entry or not number or _same(entry) != _same(ordered[number - 1])
    ]


def text(entry: dict[str, Any]) -> str:
    """Return one entry as a line: when, who, from where, what, how it ended."""
    who = str(entry.get("identity") or ("somebody" if "request_id" in entry else ""))
    if who and not entry.get("verified"):
        who += " (not verified)"
    about = entry.get("about")
    said = (
        " ".join(f"{name}={value}" for name, value in about.items() if value != "") if isinstance(about, dict) else ""
    )
    where = "" if said else str(entry.get("path", ""))
    parts = (entry.get("time", ""), who, entry.get("client", ""), entry.get("action", ""), entry.get("status", ""))
    return " ".join(str(part) for part in (*parts, said or where) if str(part))


def _same(entry: dict[str, Any]) -> tuple[Any, Any]:
    return entry.get("action"), entry.get("about")


def _entry(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and entry.get("kind") == "audit" else None
