"""Mistakes in the settings: key path, finding, rule and fix, and never the value.

Any setting may have been given with `pulumi config set --secret`, so a value is described by its kind alone.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mlflow_backend.contract import UsageError

NAMESPACE = "mlflow-backend"
_LONGEST_KEY = 60
_KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a true/false value"),
    (int, "a whole number"),
    (float, "a number with a decimal point"),
    (str, "text"),
    (Mapping, "a mapping"),
    (Sequence, "a list"),
)


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: where it is, what was found, the rule that it breaks and how to fix it.

    An empty `path` is for what concerns no key, such as a file that cannot be read.
    """

    path: str
    finding: str
    rule: str
    fix: str

    def __str__(self) -> str:
        """Return one line, with the key as it is typed for `pulumi config`."""
        prefix = f"{NAMESPACE}:{self.path} " if self.path else ""
        return f"{prefix}{self.finding}; {self.rule}. {self.fix}"


class SettingsError(UsageError):
    """All the mistakes of a stack's settings at once; `problems` holds each. Its text holds no value."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """List all of `problems`, one a line."""
        self.problems = tuple(problems)
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__(
            f"The settings of this stack have {count}:",
            code="settings-invalid",
            fix="\n".join(f"  - {p}" for p in self.problems),
        )

    def __str__(self) -> str:
        """Return the count, and each problem on a line of its own."""
        return f"{self.finding}\n{self.fix}"


def kind(value: object) -> str:
    """Say what sort of thing `value` is, without the value."""
    if value is None:
        return "empty"
    return next((word for python_type, word in _KINDS if isinstance(value, python_type)), "of an unknown kind")


def unknown_key(path: str, key: str, known: Iterable[str]) -> Problem:
    """Return the problem of a key that no section has, with the nearest known one suggested.

    `section.key` is one key to Pulumi, if it is typed without --path or stands so in a stack file: it belongs below
    its section, and the way there is shown.
    """
    choices = {choice.lower(): choice for choice in sorted(known)}
    section, _, rest = key.partition(".")
    near = difflib.get_close_matches(section.lower(), choices, n=1)
    if near and rest:
        finding, rule = "is written as one key with a dot", "a section holds its settings below itself"
        fix = f"Nest {shown_key(rest)} below {choices[near[0]]} in the stack's file"
        if path == shown_key(key):
            nested = f"{choices[near[0]]}.{shown_key(rest)}"
            fix += (
                f", or take the key away with `pulumi config rm '{NAMESPACE}:{path}' --stack STACK` and set it with "
                f"`pulumi config set --path '{NAMESPACE}:{nested}' VALUE --stack STACK`"
            )
        fix += "."
        return Problem(path=path, finding=finding, rule=rule, fix=fix)
    fix = f"Did you mean {choices[near[0]]}?" if near else f"Known keys here: {', '.join(choices.values())}."
    return Problem(path=path, finding="is not a known setting", rule="unknown keys are refused, never ignored", fix=fix)


def shown_key(key: str) -> str:
    """Return a key fit for one line of a terminal, whatever it was."""
    printable = "".join(character if character.isprintable() else "?" for character in key)
    return printable if len(printable) <= _LONGEST_KEY else f"{printable[:_LONGEST_KEY]}..."
