"""One figure as Prometheus has it. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value under a name without the prefix, with one label (name and value) or none; a counter never falls."""

    name: str
    help: str
    value: float
    label: tuple[str, str] | None = None
    counter: bool = False
