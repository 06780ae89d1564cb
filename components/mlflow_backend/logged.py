"""A report in a one-shot task's log: both of its streams are there as lines, and the report is the JSON at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def split(lines: Sequence[str]) -> tuple[str, str]:
    """Return the report and the words for people.

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
