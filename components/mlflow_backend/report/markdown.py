"""The report as Markdown, for a comment on a pull request. Pure.

Names and messages are others' words: they are escaped, so that none becomes a mention, a link or a table's end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mlflow_backend.report import phrases
from mlflow_backend.report.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mlflow_backend.report.model import Report

_MOST_CHANGES: Final = 200
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
    yield from _list("Refused", report.refusals)
    yield from _list("Errors", report.errors)
    yield f"**{phrases.counts(report)}**"
    yield from _list("Release", phrases.release(report))
    yield from _list("Migration", phrases.migration(report))
    if report.migration and report.migration.pending:
        yield from _folded("The pending revisions", [f"- {escaped(each)}" for each in report.migration.pending])
    yield from _list("Pin in force", [report.pin] if report.pin else [])
    yield from _changes(report)
    yield from _preflight(report)
    yield from _policies(report)
    if report.drift is not None:
        yield from _list("Drift", map(phrases.drift, report.drift) if report.drift else ["none"])
    yield from _billed(report)
    yield from _list("Warnings", report.warnings)
    yield ""
    yield f"<sub>{report.created_at}</sub>"


def _list(title: str, items: Iterable[str]) -> Iterator[str]:
    found = [escaped(item) for item in items]
    if found:
        yield from ("", f"### {title}", *(f"- {item}" for item in found), "")


def _folded(title: str, lines: Sequence[str]) -> Iterator[str]:
    yield from ("", f"<details><summary>{title}</summary>", "", *lines, "", "</details>", "")


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(header)} |",
        f"|{'---|' * len(header)}",
        *(f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows),
    ]


def _changes(report: Report) -> Iterator[str]:
    if report.changes:
        rows = [
            (str(each.operation), each.name, phrases.kind(each.type), phrases.differing(each))
            for each in report.changes[:_MOST_CHANGES]
        ]
        yield from _folded(f"Changes ({len(report.changes)})", _table(("", "name", "type", "properties"), rows))


def _preflight(report: Report) -> Iterator[str]:
    if report.preflight:
        rows = [(each.outcome, each.check, f"{each.message} {each.fix}") for each in report.preflight]
        yield from ("", "### Preflight", *_table(("", "check", "finding"), rows), "")


def _policies(report: Report) -> Iterator[str]:
    if not report.policies:
        return
    yield from ("", f"### Policies: {phrases.policies(report)}")
    rows = [
        (called, name, message.replace("\n", "; "), remediation)
        for _, called, name, message, remediation in phrases.policy_rows(report)
    ]
    if rows:
        yield from _table(("", "policy", "finding", "remediation"), rows)
    yield ""


def _billed(report: Report) -> Iterator[str]:
    if not report.billed:
        return
    yield from ("", "### Billed while it stands")
    yield from _table(phrases.QUANTITY_COLUMNS, map(phrases.quantity, report.billed))
    yield ""
    yield f"Not counted: {phrases.not_counted(report)}."
