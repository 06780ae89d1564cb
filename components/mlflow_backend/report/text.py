"""The report on a terminal, by rich. It decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from mlflow_backend.report import phrases
from mlflow_backend.report.model import Operation, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, RenderableType

    from mlflow_backend.report.model import Report

_VERDICTS: Final = {
    Verdict.UNCHANGED: "green",
    Verdict.CHANGES: "yellow",
    Verdict.REFUSED: "bold red",
    Verdict.FAILED: "bold red",
}
_OPERATIONS: Final = {
    Operation.CREATE: "green",
    Operation.UPDATE: "yellow",
    Operation.REPLACE: "magenta",
    Operation.DELETE: "red",
    Operation.IMPORT: "cyan",
    Operation.FORGET: "red",
}
_OUTCOMES: Final = {
    "fail": "red",
    "skip": "yellow",
    "pass": "green",
    Outcome.VIOLATED: "red",
    Outcome.NOT_EVALUATED: "yellow",
    Outcome.PASSED: "green",
    Outcome.NOT_APPLICABLE: "dim",
}


def show(report: Report, console: Console) -> None:
    """Print the report; every word in it is printed as it is, whatever markup it may look like."""
    for part in _parts(report):
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(report: Report) -> Iterator[RenderableType]:
    headline = f"Preview of {report.stack}: {phrases.HEADLINES[report.verdict]}"
    yield Text(headline, style=_VERDICTS[report.verdict])
    for change in report.losses:
        yield Text(f"!! {phrases.loss(change)}", style="bold white on red")
    yield from _list("Refused", report.refusals, style="red")
    yield from _list("Errors", report.errors, style="red")
    yield Text(phrases.counts(report))
    yield from _list("Release", phrases.release(report))
    yield from _list("Migration", phrases.migration(report), style="yellow" if _breaking(report) else "")
    if report.migration:
        yield from _list("Pending revisions", report.migration.pending)
    yield from _list("Pin in force", [report.pin] if report.pin else [], style="yellow")
    yield from _changes(report)
    yield from _preflight(report)
    yield from _policies(report)
    if report.drift is not None:
        yield from _list("Drift", [phrases.drift(each) for each in report.drift] or ["none"])
    yield from _billed(report)
    yield from _list("Warnings", report.warnings, style="yellow")


def _breaking(report: Report) -> bool:
    return report.migration is not None and report.migration.breaking


def _list(title: str, items: Iterable[str], *, style: str = "") -> Iterator[Text]:
    found = list(items)
    if found:
        yield Text(f"\n{title}", style="bold")
        yield from (Text(f"  {item}", style=style) for item in found)


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(columns))
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _changes(report: Report) -> Iterator[RenderableType]:
    if not report.changes:
        return
    yield Text("\nChanges", style="bold")
    table = _table("", "name", "type", "properties")
    for each in report.changes:
        style = _OPERATIONS[each.operation]
        sign = Text(f"{phrases.SIGNS[each.operation]} {each.operation}", style=style)
        table.add_row(sign, Text(each.name), Text(phrases.kind(each.type), style="dim"), Text(phrases.differing(each)))
    yield table


def _preflight(report: Report) -> Iterator[RenderableType]:
    if not report.preflight:
        return
    yield Text("\nPreflight", style="bold")
    table = _table("", "", "")
    for each in report.preflight:
        outcome = Text(each.outcome, style=_OUTCOMES.get(each.outcome, ""))
        table.add_row(outcome, Text(each.check), Text(f"{each.message} {each.fix}".strip()))
    yield table


def _policies(report: Report) -> Iterator[RenderableType]:
    if not report.policies:
        return
    yield Text(f"\nPolicies: {phrases.policies(report)}", style="bold")
    table = _table("", "", "", "")
    for outcome, called, name, message, remediation in phrases.policy_rows(report):
        table.add_row(Text(called, style=_OUTCOMES[outcome]), Text(name), Text(message), Text(remediation, style="dim"))
    if table.row_count:
        yield table


def _billed(report: Report) -> Iterator[RenderableType]:
    if not report.billed:
        return
    yield Text("\nBilled while it stands", style="bold")
    table = _table(*phrases.QUANTITY_COLUMNS)
    for each in report.billed:
        table.add_row(*map(Text, phrases.quantity(each)), style="yellow" if each.changed else "")
    yield table
    yield Text(f"Not counted: {phrases.not_counted(report)}.", style="dim")
