"""Pure: what a restore would lose, by comparing a dump's rows with the live ones, both in Postgres's COPY text.

Counted are runs, experiments and the registry, row by row: a row that is only in the live table was added since the
dump, one that differs in the columns that both have was changed. Nothing is stored for it when a dump is taken.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

TABLES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "experiments": ("experiments", ("experiment_id",)),
    "runs": ("runs", ("run_uuid",)),
    "registered_models": ("registered models", ("name",)),
    "model_versions": ("model versions", ("name", "version")),
}
"""Table -> (what it is called in a sentence, columns by which a row is known again)."""

_HEADER = re.compile(r"^COPY (?:[\w\"]+\.)?\"?(\w+)\"? \((.*)\) FROM stdin;$")


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows of one table: its columns, and each row's fields as COPY writes them."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_dump(lines: Iterable[str]) -> dict[str, Rows]:
    """Return the rows of each counted table in what pg_restore writes for them."""
    found = {}
    remaining = iter(lines)
    for line in remaining:
        header = _HEADER.match(line.rstrip("\n"))
        if header and header[1] in TABLES:
            columns = tuple(column.strip().strip('"') for column in header[2].split(","))
            found[header[1]] = Rows(columns=columns, rows=tuple(_until_end(remaining)))
    return found


def common(columns: Sequence[str], live: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that can be compared: those of the dump that a migration has kept."""
    return tuple(column for column in columns if column in live)


def losses(dumped: Mapping[str, Rows], live: Mapping[str, Rows]) -> dict[str, int]:
    """Return what is only in the live tables, and what differs there, as counts by name; only what is not zero."""
    counts = {}
    for table, (name, key) in TABLES.items():
        if table not in live:
            continue
        before = _by_key(dumped[table], key, live[table].columns) if table in dumped else {}
        now = _by_key(live[table], key, live[table].columns)
        counts[name] = sum(row not in before for row in now)
        counts[f"changed {name}"] = sum(row in before and before[row] != fields for row, fields in now.items())
        counts[f"deleted {name} that come back"] = sum(row not in now for row in before)
    return {name: count for name, count in counts.items() if count}


def _by_key(table: Rows, key: tuple[str, ...], columns: Sequence[str]) -> dict[tuple[str, ...], tuple[str, ...]]:
    place = {column: number for number, column in enumerate(table.columns)}
    keys, others = [place[column] for column in key], [place[column] for column in columns]
    return {tuple(row[k] for k in keys): tuple(row[o] for o in others) for row in table.rows}


def _until_end(lines: Iterator[str]) -> Iterator[tuple[str, ...]]:
    for line in lines:
        text = line.rstrip("\n")
        if text == "\\.":
            return
        yield tuple(text.split("\t"))
