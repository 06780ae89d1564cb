"""The finding of one check: pass, fail or skip, with the property it is about and what to do. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import sentence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.contract import BackendError


class Outcome(enum.StrEnum):
    """`skip` is for a check that could not be made: it is always shown, and never counts as passed."""

    PASS = "pass"  # noqa: S105 - the outcome, not a password
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check's answer. `prop` is the setting it is about; `message` and `fix` are sentences without secrets.

    `command` is what somebody types to make what is missing; empty if no single command does.
    """

    check: str
    outcome: Outcome
    prop: str
    message: str
    fix: str = ""
    command: str = ""

    def document(self) -> dict[str, str]:
        """Return the finding as an output of the stack."""
        found = {"check": self.check, "outcome": str(self.outcome), "property": self.prop, "message": self.message}
        more = {"fix": self.fix, "command": self.command}
        return {**found, **{key: text for key, text in more.items() if text}}

    def line(self) -> str:
        """Return the finding as one line of a table, and below it the command."""
        line = f"{self.outcome.upper():4} {self.check}: {self.message}{f' {self.fix}' if self.fix else ''}"
        return f"{line}\n     $ {self.command}" if self.command else line


def passed(check: str, prop: str, message: str) -> Finding:
    """Return the finding of a check that passed."""
    return Finding(check=check, outcome=Outcome.PASS, prop=prop, message=message)


def failed(check: str, prop: str, message: str, fix: str, command: str = "") -> Finding:
    """Return the finding of a check that failed; `fix` is what to do, `command` what to type for it."""
    return Finding(check=check, outcome=Outcome.FAIL, prop=prop, message=message, fix=fix, command=command)


def failed_by(check: str, prop: str, error: BackendError) -> Finding:
    """Return the finding of a check that an error ended, with the error's own words and way out."""
    return failed(check, prop, sentence(error.finding), sentence(error.fix or "Mend that, and repeat"))


def skipped(check: str, prop: str, message: str, fix: str = "") -> Finding:
    """Return the finding of a check that could not be made; `message` is why."""
    return Finding(check=check, outcome=Outcome.SKIP, prop=prop, message=message, fix=fix)


def table(findings: Sequence[Finding]) -> list[str]:
    """Return the lines that people are shown, failures first."""
    order = (Outcome.FAIL, Outcome.SKIP, Outcome.PASS)
    return [each.line() for each in sorted(findings, key=lambda each: order.index(each.outcome))]


def failures(findings: Sequence[Finding]) -> list[Finding]:
    """Return what stops an update."""
    return [each for each in findings if each.outcome is Outcome.FAIL]


def documents(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """Return the findings as an output of the stack."""
    return [each.document() for each in findings]
