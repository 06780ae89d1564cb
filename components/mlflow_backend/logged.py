"""Lines of a log: the report that a one-shot task wrote among them, and the passwords that nobody may see."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_PASSWORD: Final = re.compile(r"(://[^/\s:@]*):[^/\s@]+@")


def split(lines: Sequence[str]) -> tuple[str, str]:
    """Return the report and the words for people: a task's log has both of its streams, the report at the end.

    The report's first line is a lone brace (json.dump with an indent).
    """
    starts = [number for number, line in enumerate(lines) if line.rstrip() == "{"]
    start = starts[-1] if starts else len(lines)
    ends = [number for number, line in enumerate(lines) if number >= start and line.rstrip() == "}"]
    end = ends[0] + 1 if ends else len(lines)
    return "\n".join(lines[start:end]), "\n".join([*lines[:start], *lines[end:]])


def is_whole(lines: Sequence[str]) -> bool:
    """Return whether a log has its whole report: the last lines may come after the task's end."""
    return split(lines)[0].endswith("\n}")


def without_passwords(text: str) -> str:
    """Return `text` with the password in each URL blanked."""
    return _PASSWORD.sub(r"\1:***@", text)
