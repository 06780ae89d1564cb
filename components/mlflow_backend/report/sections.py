"""The parts of a report below its headline, in the order in which people read them; terminal and Markdown show them.

Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.report import phrases
from mlflow_backend.report.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow_backend.report.model import Report


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of a table. `tone` is the word that says how loud its first cell is."""

    cells: tuple[str, ...]
    tone: str = ""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A list or a table, and a note below it. `folded`: a page opens it only if somebody asks. No title: one line."""

    title: str = ""
    items: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    note: str = ""
    tone: str = ""
    folded: bool = False


def sections(report: Report) -> Iterator[Section]:
    """Return the sections that say anything."""
    breaking = report.migration is not None and report.migration.breaking
    yield from _list("Refused", report.refusals, tone=Verdict.REFUSED)
    yield from _list("Errors", report.errors, tone=Verdict.FAILED)
    yield Section(items=(phrases.counts(report),))
    yield from _list("Release", phrases.release(report))
    yield from _list("Migration", phrases.migration(report), tone=Verdict.CHANGES if breaking else "")
    yield from _list("Pending revisions", report.migration.pending if report.migration else (), folded=True)
    yield from _list("Pin in force", [report.pin] if report.pin else [], tone=Verdict.CHANGES)
    yield from _tables(report)
    if report.drift is not None:
        yield from _list("Drift", [phrases.drift(each) for each in report.drift] or ["none"])
    if report.billed:
        rows = tuple(
            Row(cells=phrases.quantity(each), tone=Verdict.CHANGES if each.changed else "") for each in report.billed
        )
        note = f"Not counted: {phrases.not_counted(report)}."
        yield Section(title="Billed while it stands", columns=phrases.QUANTITY_COLUMNS, rows=rows, note=note)
    yield from _list("Warnings", report.warnings, tone=Verdict.CHANGES)


def _list(title: str, items: Iterable[str], *, tone: str = "", folded: bool = False) -> Iterator[Section]:
    if found := tuple(items):
        yield Section(title=title, items=found, tone=tone, folded=folded)


def _tables(report: Report) -> Iterator[Section]:
    changes = tuple(
        Row(
            cells=(
                f"{phrases.SIGNS[each.operation]} {each.operation}",
                each.name,
                phrases.kind(each.type),
                phrases.differing(each),
            ),
            tone=each.operation,
        )
        for each in report.changes
    )
    if changes:
        yield Section(
            title=f"Changes ({len(changes)})", columns=("", "name", "type", "properties"), rows=changes, folded=True
        )
    checked = tuple(
        Row(cells=(each.outcome, each.check, f"{each.message} {each.fix}".strip()), tone=each.outcome)
        for each in report.preflight
    )
    if checked:
        yield Section(title="Preflight", columns=("", "check", "finding"), rows=checked)
    if report.policies:
        found = tuple(Row(cells=tuple(cells), tone=outcome) for outcome, *cells in phrases.policy_rows(report))
        columns = ("", "policy", "finding", "remediation")
        yield Section(title=f"Policies: {phrases.policies(report)}", columns=columns, rows=found)
