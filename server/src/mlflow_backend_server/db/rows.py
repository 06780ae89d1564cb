"""The rows of a dump and of the live tables, both as COPY writes them, and what is only in one of them. Pure.

A row that is only in the live table was added since the dump; one that differs in the columns that both have was
changed; one that is only in the dump was deleted and would come back. What belongs to a row (a run's metrics) counts as
part of it. Of each row a digest is kept, never the row.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_HEADER = re.compile(rb'^COPY (?:[\w"]+\.)?"?(\w+)"? \((.*)\) FROM stdin;$')
_END = b"\\."
_DIGEST_BYTES = 16
_MODULUS = 1 << (8 * _DIGEST_BYTES)


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table that is compared: what is counted, and the columns that name it. A run's parameters count as that run."""

    kind: str
    key: tuple[str, ...]


#: Chain -> table -> what it is. Of metrics the latest of each name: all of them would be read for minutes.
TABLES: Mapping[str, Mapping[str, Table]] = {
    "tracking": {
        "experiments": Table(kind="experiments", key=("experiment_id",)),
        "experiment_tags": Table(kind="experiments", key=("experiment_id",)),
        "runs": Table(kind="runs", key=("run_uuid",)),
        "latest_metrics": Table(kind="runs", key=("run_uuid",)),
        "params": Table(kind="runs", key=("run_uuid",)),
        "tags": Table(kind="runs", key=("run_uuid",)),
        "registered_models": Table(kind="registered models", key=("name",)),
        "registered_model_tags": Table(kind="registered models", key=("name",)),
        "registered_model_aliases": Table(kind="registered models", key=("name",)),
        "model_versions": Table(kind="model versions", key=("name", "version")),
        "model_version_tags": Table(kind="model versions", key=("name", "version")),
        "logged_models": Table(kind="logged models", key=("model_id",)),
        "trace_info": Table(kind="traces", key=("request_id",)),
    },
    "auth": {"users": Table(kind="users", key=("id",))},
}

Sums = dict[tuple[bytes, ...], int]
"""Key of a counted row -> the sum of the digests of all that belongs to it, in whatever order it was read."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What was read of one side: for each table the columns that were read, for each kind its rows."""

    columns: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kinds: dict[str, Sums] = field(default_factory=dict)

    def adding(self, name: str, table: Table, columns: Sequence[str]) -> Callable[[bytes], None]:
        """Return what adds one row of a table, as COPY writes a line, its fields those of `columns` in their order.

        Nothing is unescaped, for both sides are spelled alike.
        """
        self.columns[name] = tuple(columns)
        sums = self.kinds.setdefault(table.kind, {})
        positions = [columns.index(column) for column in table.key]

        def add(line: bytes) -> None:
            fields = line.rstrip(b"\n").split(b"\t")
            key = tuple(fields[position] for position in positions)
            sums[key] = (sums.get(key, 0) + _digest(name, fields)) % _MODULUS

        return add


def read_dump(lines: Iterable[bytes], tables: Mapping[str, Table], live: Mapping[str, Sequence[str]]) -> Content:
    """Return the counted rows in what pg_restore writes, in those columns that the `live` tables have too.

    A column that a migration added or dropped is not compared: every row would look changed.
    """
    found = Content()
    remaining = iter(lines)
    for line in remaining:
        header = _HEADER.match(line.rstrip(b"\n"))
        if header is None or (name := header[1].decode()) not in tables or name not in live:
            continue
        dumped = [column.strip().strip('"') for column in header[2].decode().split(",")]
        shared = [column for column in dumped if column in live[name]]
        positions = [dumped.index(column) for column in shared]
        add = found.adding(name, tables[name], shared)
        for row in _until_end(remaining):
            fields = row.split(b"\t")
            add(b"\t".join(fields[position] for position in positions))
    return found


def compare(before: Content, now: Content) -> dict[str, int]:
    """Return, by name, how much of each kind was added, changed and deleted since the dump; only what is not zero."""
    counts: dict[str, int] = {}
    for kind, live in now.kinds.items():
        known = before.kinds.get(kind, {})
        counts[kind] = sum(key not in known for key in live)
        counts[f"changed {kind}"] = sum(known.get(key, content) != content for key, content in live.items())
        counts[f"deleted {kind} that come back"] = sum(key not in live for key in known)
    return {name: count for name, count in counts.items() if count}


def _digest(table: str, fields: Sequence[bytes]) -> int:
    content = b"\t".join((table.encode(), *fields))
    return int.from_bytes(hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest(), "big")


def _until_end(lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        text = line.rstrip(b"\n")
        if text == _END:
            return
        yield text
