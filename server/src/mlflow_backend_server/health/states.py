"""The words of a health report. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class State(StrEnum):
    """How a component is."""

    OK = "ok"
    FAILED = "failed"
    OFF = "off"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One component at one time: its state, how long the question took, and one sentence without secrets."""

    state: State
    sentence: str
    ms: float = 0.0

    def document(self) -> dict[str, Any]:
        """Return the finding as JSON has it."""
        return {"state": str(self.state), "latency_ms": round(self.ms, 1), "detail": self.sentence}


@dataclass(frozen=True, kw_only=True)
class Component:
    """One thing to ask about. `ask` returns a sentence, raises Away for a known failure, anything for others."""

    name: str
    ask: Callable[[], str]
    used: bool = True


class Away(Exception):
    """A component does not work; the message is a sentence for people, without secrets."""


def healthy(findings: Mapping[str, Finding], components: tuple[Component, ...]) -> bool:
    """Return whether every component that is used is ok."""
    return all(findings[component.name].state is State.OK for component in components if component.used)


def report(findings: Mapping[str, Finding], *, ok: bool) -> dict[str, Any]:
    """Return the full document of `/health/components`."""
    return {
        "status": "ok" if ok else "degraded",
        "components": {name: finding.document() for name, finding in findings.items()},
    }
