"""Classify what `record_revisions.py` recorded: `revision_classes.json`, each revision safe or breaking, and why.

`python server/tools/revision_classes.py < recorded.json` writes the table. Safe means that every statement of a server
of the release before stays valid: it only adds. Whatever is not known to be safe is breaking, data migrations among it;
locks are not considered, because an upgrade is one transaction and other writers wait for it in any case.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

OUTPUT = Path(__file__).resolve().parents[1] / "src" / "mlflow_backend_server" / "revision_classes.json"
_NAME = r'(?:"?public"?\.)?"?(?P<table>\w+)"?'
_CREATE_TABLE = re.compile(rf"CREATE TABLE (?:IF NOT EXISTS )?{_NAME}", re.IGNORECASE)
_ON_TABLE = (
    re.compile(rf"(?:ALTER|DROP) TABLE (?:IF EXISTS )?(?:ONLY )?{_NAME}", re.IGNORECASE),
    re.compile(rf"CREATE (?:UNIQUE )?INDEX (?:IF NOT EXISTS )?\S+ ON {_NAME}", re.IGNORECASE),
    re.compile(rf"(?:INSERT INTO|UPDATE|DELETE FROM) {_NAME}", re.IGNORECASE),
    re.compile(rf"SELECT\b.*?\bFROM {_NAME}", re.IGNORECASE),
    re.compile(rf"WITH\b.*?\bFROM {_NAME}", re.IGNORECASE),
)
_BOOKKEEPING = re.compile(
    r"alembic_version|pg_catalog|information_schema|^(?:SAVEPOINT|RELEASE|ROLLBACK)\b|^SHOW |^SELECT version\(\)$",
    re.IGNORECASE,
)
_ADD_COLUMN = re.compile(r"ALTER TABLE \S+ ADD COLUMN (?P<definition>.+)", re.IGNORECASE)
_HARMLESS = (
    re.compile(r"CREATE INDEX ", re.IGNORECASE),
    re.compile(r"DROP INDEX ", re.IGNORECASE),
    re.compile(r"ALTER TABLE \S+ ALTER COLUMN \S+ DROP NOT NULL$", re.IGNORECASE),
)
_QUOTED_LENGTH = 160


def classify(statements: list[str]) -> dict[str, Any]:
    """Return class, reasons and touched tables of one revision from the statements that it executed."""
    created: set[str] = set()
    touched: set[str] = set()
    reasons: list[str] = []
    for statement in statements:
        if _BOOKKEEPING.search(statement):
            continue
        if made := _CREATE_TABLE.match(statement):
            created.add(made["table"])
            continue
        table = _table(statement)
        if table in created:
            continue
        if table is not None:
            touched.add(table)
        if not _adds_only(statement):
            reasons.append(statement[:_QUOTED_LENGTH])
    return {"class": "breaking" if reasons else "safe", "reasons": reasons, "tables": sorted(touched)}


def table(recorded: dict[str, Any]) -> dict[str, Any]:
    """Return the content of revision_classes.json."""
    return {
        chain: {
            revision: {"title": entry["title"], **classify(entry["statements"])}
            for revision, entry in revisions.items()
        }
        for chain, revisions in recorded.items()
    }


def _table(statement: str) -> str | None:
    for pattern in _ON_TABLE:
        if match := pattern.match(statement):
            return match["table"]
    return None


def _adds_only(statement: str) -> bool:
    if any(pattern.match(statement) for pattern in _HARMLESS):
        return True
    column = _ADD_COLUMN.match(statement)
    if column is None:
        return False
    definition = column["definition"].upper()
    # What an older server inserts leaves the column out: it must have a value of its own then.
    return "NOT NULL" not in definition or "DEFAULT" in definition


def main() -> int:
    """Classify what standard input holds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    options.output.write_text(json.dumps(table(json.load(sys.stdin)), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
