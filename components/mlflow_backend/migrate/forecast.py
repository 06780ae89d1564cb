"""The forecast of a migration: what it does and costs, and why one is refused before anything changes. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_backend.schema import Direction, Heads, SchemaTable, direction

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mlflow_backend.migrate.tool import Pending


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The schema that a database was seen at: now, or in the ledger at `as_of`. `rows` counts rows by table."""

    heads: Heads
    as_of: datetime | None = None
    rows: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What putting an MLflow version on a database means. `seen` is None if nothing is known of the database."""

    version: str
    required: Heads | None
    seen: Seen | None
    pending: tuple[Pending, ...] = ()
    table: SchemaTable = field(default_factory=SchemaTable)

    @property
    def direction(self) -> Direction:
        """Where the database stands for the version."""
        if self.seen is None or self.required is None:
            return Direction.UNKNOWN
        return direction(live=self.seen.heads, required=self.required, table=self.table)

    @property
    def breaking(self) -> bool:
        """Whether servers are stopped for it: a database without a schema has none to stop."""
        return self.direction is Direction.BEHIND and any(revision.breaking for revision in self.pending)

    def document(self) -> dict[str, Any]:
        """Return the forecast as the resource's input `plan`, which a preview prints."""
        if self.direction is Direction.UNKNOWN:
            return {"schema": self._unknown()}
        if self.direction is Direction.EQUAL:
            return {"schema": f"at {self.required}, which MLflow {self.version} needs{self._when()}"}
        if self.direction is Direction.EMPTY:
            return {
                "schema": f"a new database, to be brought to {self.required} for MLflow {self.version}{self._when()}"
            }
        if self.direction is Direction.AHEAD:
            newer = f"at {self._heads()}, newer than {self.required}, which MLflow {self.version} needs"
            return {"schema": f"{newer}{self._when()}"}
        return {
            "schema": f"at {self._heads()}, to be migrated to {self.required} for MLflow {self.version}{self._when()}",
            "pending": [_line(revision) for revision in self.pending],
            "rows": dict(sorted(self._rows().items())),
            "downtime": self._downtime(),
            "rollback": (
                "an older MLflow needs a restore of the dump that is taken first; what is written after it is then lost"
            ),
        }

    def refusal(self) -> str | None:
        """Say why this version cannot be put on this database; None if it can, or if nothing is known."""
        if self.direction is not Direction.AHEAD or self.seen is None:
            return None
        runs = self.table.versions_on(self.seen.heads.tracking)
        choice = f"that is the schema of MLflow {', '.join(runs)}" if runs else "a newer MLflow runs on it"
        newer = " or ".join(runs) or "that one"
        return (
            f"The database is at {self._heads()}, newer than {self.required}, which MLflow {self.version} needs"
            f"{self._when()}; {choice}. Nothing was touched. Set server.mlflowVersion to {newer}, or go back "
            f"with `python -m scripts.rollback --stack STACK --to-version {self.version} --restore`, which restores "
            "the dump of that schema."
        )

    def _heads(self) -> str:
        return str(self.seen.heads) if self.seen else "an unknown schema"

    def _rows(self) -> Mapping[str, int]:
        return self.seen.rows if self.seen else {}

    def _when(self) -> str:
        if self.seen is None or self.seen.as_of is None:
            return ""
        return f" (as of {self.seen.as_of:%Y-%m-%d %H:%M} UTC, from the ledger)"

    def _unknown(self) -> str:
        if self.required is None:
            return f"which schema MLflow {self.version} needs is not in the table; the update asks that MLflow itself"
        if self.seen is None:
            return f"not known yet; MLflow {self.version} needs {self.required}"
        return f"at {self._heads()}; how that stands to {self.required} is found out by the update"

    def _downtime(self) -> str:
        if not self.breaking:
            return "none: every pending revision is safe beside the running server"
        count = sum(revision.breaking for revision in self.pending)
        return f"yes: {count} of {len(self.pending)} pending revisions are breaking, so the server is stopped for them"


def _line(revision: Pending) -> str:
    word = "breaking" if revision.breaking else "safe"
    chain = "" if revision.chain == "tracking" else f" ({revision.chain})"
    return f"{revision.revision}{chain} {word}: {revision.title}"


def announcement(plan: Mapping[str, Any]) -> str | None:
    """Return a plan (Forecast.document) as a warning of a preview; None if it announces nothing.

    `upgrade`, which a plan has if the MLflow version changes, is what else the change means (migrate.upgrade).
    """
    parts = []
    if "pending" in plan:
        listed = "\n".join(f"  {revision}" for revision in plan["pending"])
        parts.append(
            f"A schema migration is pending: the database is {plan['schema']}.\n{listed}\n"
            f"Downtime: {plan['downtime']}.\nRollback: {plan['rollback']}."
        )
    if "upgrade" in plan:
        listed = "\n".join(f"  {line}" for line in plan["upgrade"])
        parts.append(f"The MLflow version changes:\n{listed}")
    return "\n".join(parts) or None
