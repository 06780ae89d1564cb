"""MLflow's schemas beyond the installed version: two committed tables, made by server/tools/.

`schema_heads.json` says which head each MLflow release requires and holds every revision in order;
`revision_classes.json` says what each revision did when it really ran on Postgres.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


class RevisionClass(StrEnum):
    """Whether servers of the release before a revision go on working while and after it is applied."""

    SAFE = "safe"
    BREAKING = "breaking"


@dataclass(frozen=True, kw_only=True)
class RevisionEffect:
    """What one revision does: its class, why it is breaking (empty when safe), the existing tables that it touches."""

    revision_class: RevisionClass
    reasons: tuple[str, ...]
    tables: tuple[str, ...]


#: A revision that was never recorded counts as breaking.
UNRECORDED = RevisionEffect(
    revision_class=RevisionClass.BREAKING, reasons=("its statements were never recorded",), tables=()
)


@cache
def schema_heads() -> Mapping[str, Any]:
    """Return schema_heads.json."""
    return _load("schema_heads.json")


@cache
def revision_classes() -> Mapping[str, Any]:
    """Return revision_classes.json."""
    return _load("revision_classes.json")


def effect(chain: str, revision: str) -> RevisionEffect:
    """Return what a revision of the chain does; breaking for one that was never recorded."""
    entry = revision_classes()[chain].get(revision)
    if entry is None:
        return UNRECORDED
    return RevisionEffect(
        revision_class=RevisionClass(entry["class"]), reasons=tuple(entry["reasons"]), tables=tuple(entry["tables"])
    )


def all_revisions(chain: str) -> tuple[str, ...]:
    """Return every revision of the chain up to the newest known MLflow, first to last."""
    return tuple(schema_heads()["revisions"][chain])


def first_release(chain: str, revision: str) -> str | None:
    """Return the oldest known MLflow release whose chain holds the revision, None when none does."""
    order = all_revisions(chain)
    if revision not in order:
        return None
    position = order.index(revision)
    for version, heads in schema_heads()["versions"].items():
        if order.index(heads[chain]) >= position:
            return str(version)
    return None


def _load(name: str) -> Mapping[str, Any]:
    content: Mapping[str, Any] = json.loads((resources.files("mlflow_backend_server") / name).read_text())
    return content
