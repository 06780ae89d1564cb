"""The report as Markdown, for a comment on a pull request. Pure.

Names and messages are others' words: they are escaped, so that none becomes a mention, a link or a table's end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mlflow_backend.report import phrases
from mlflow_backend.report.model import Verdict
from mlflow_backend.report.sections import sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.report.model import Report
    from mlflow_backend.report.sections import Section

_MOST_ROWS: Final = 200
_SPECIAL: Final = re.compile(r"([\\`*_{}\[\]<>#|~])")
# What GitHub makes a link, a mention or a reference of after Markdown is done, escaped or not.
_LINKED: Final = re.compile(
    r"(@|#(?=\d)|:(?=//)|(?<![a-z0-9])www(?=\.)|(?<![a-z0-9])gh(?=-\d))", re.IGNORECASE | re.ASCII
)
_ICONS: Final = {
    Verdict.UNCHANGED: ":white_check_mark:",
    Verdict.CHANGES: ":arrows_counterclockwise:",
    Verdict.REFUSED: ":no_entry:",
    Verdict.FAILED: ":x:",
}


def text(report: Report) -> str:
    """Return the whole report; a caller with a limit cuts it."""
    return "\n".join(_lines(report)) + "\n"


def escaped(words: str) -> str:
    """Return words that mean nothing to Markdown, on one line, which link to nothing and mention nobody."""
    return _SPECIAL.sub(r"\\\1", _LINKED.sub("\\1\u200b", " ".join(words.split())))


def _lines(report: Report) -> Iterator[str]:
    yield f"## {_ICONS[report.verdict]} Preview of `{report.stack}`: {phrases.HEADLINES[report.verdict]}"
    yield ""
    for change in report.losses:
        yield f"> :rotating_light: **{escaped(phrases.loss(change))}**"
    for section in sections(report):
        yield from _section(section)
    yield ""
    yield f"<sub>{report.created_at}</sub>"


def _section(section: Section) -> Iterator[str]:
    if not section.title:
        yield from (f"**{escaped(item)}**" for item in section.items)
        return
    heading, end = f"### {section.title}", ""
    if section.folded:
        heading, end = f"<details><summary>{section.title}</summary>\n", "\n</details>\n"
    yield from ("", heading, *(f"- {escaped(item)}" for item in section.items))
    if section.rows:
        yield from (f"| {' | '.join(section.columns)} |", f"|{'---|' * len(section.columns)}")
    for row in section.rows[:_MOST_ROWS]:
        yield f"| {' | '.join(escaped(cell.replace(chr(10), '; ')) for cell in row.cells)} |"
    yield end
    if section.note:
        yield section.note
