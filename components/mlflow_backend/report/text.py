"""The report on a terminal, by rich. It decides nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.table import Table
from rich.text import Text

from mlflow_backend.report import phrases
from mlflow_backend.report.model import Operation, Outcome, Verdict
from mlflow_backend.report.sections import sections

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from mlflow_backend.report.model import Report
    from mlflow_backend.report.sections import Section

_STYLES: Final[dict[str, str]] = {
    Verdict.UNCHANGED: "green",
    Verdict.CHANGES: "yellow",
    Verdict.REFUSED: "bold red",
    Verdict.FAILED: "bold red",
    Operation.CREATE: "green",
    Operation.UPDATE: "yellow",
    Operation.REPLACE: "magenta",
    Operation.DELETE: "red",
    Operation.IMPORT: "cyan",
    Operation.FORGET: "red",
    Outcome.VIOLATED: "red",
    Outcome.NOT_EVALUATED: "yellow",
    "fail": "red",
    "skip": "yellow",
    "pass": "green",
}
_DIM: Final = frozenset({"type", "remediation"})
"""Columns that are read last."""


def show(report: Report, console: Console) -> None:
    """Print the report; every word in it is printed as it is, whatever markup it may look like."""
    for part in _parts(report):
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(report: Report) -> Iterator[RenderableType]:
    headline = f"Preview of {report.stack}: {phrases.HEADLINES[report.verdict]}"
    yield Text(headline, style=_STYLES[report.verdict])
    for change in report.losses:
        yield Text(f"!! {phrases.loss(change)}", style="bold white on red")
    for section in sections(report):
        yield from _section(section)


def _section(section: Section) -> Iterator[RenderableType]:
    if section.title:
        yield Text(f"\n{section.title}", style="bold")
    indent = "  " if section.title else ""
    yield from (Text(f"{indent}{item}", style=_STYLES.get(section.tone, "")) for item in section.items)
    if section.rows:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for column in section.columns:
            table.add_column(column, overflow="fold", style="dim" if column in _DIM else "")
        for row in section.rows:
            first, *others = row.cells
            table.add_row(Text(first, style=_STYLES.get(row.tone, "")), *map(Text, others))
        yield table
    if section.note:
        yield Text(section.note, style="dim")
