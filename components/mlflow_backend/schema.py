"""The schema that an MLflow version needs, and the decision whether a release may be put on a database's. Pure.

It reads nothing: `server/schema_heads.json`, which the database tool's package makes from the real wheels, is handed
in. A release is never decided by its version alone: MLflow migrates an older database by itself while it starts and
refuses a newer one as 'out-of-date' (docs/facts.md, C), so both directions are named here, truly.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SHOWN_VERSIONS = 4


class Direction(StrEnum):
    """Where a database stands, seen from the MLflow version that is asked for; the database tool's words."""

    EQUAL = "equal"
    BEHIND = "behind"
    AHEAD = "ahead"
    EMPTY = "empty"
    UNKNOWN = "unknown"
    FOREIGN = "foreign"


class Verdict(StrEnum):
    """Whether a release may be put on a database: as it is, not at all, or after restoring a dump."""

    SAFE = "SAFE"
    BLOCKED = "BLOCKED"
    RESTORE = "RESTORE"


@dataclass(frozen=True, kw_only=True)
class Heads:
    """The schema heads of the tracking and the basic-auth database; None if that database has no schema yet."""

    tracking: str | None
    auth: str | None = None

    def __str__(self) -> str:
        """Return the heads as a sentence names them."""
        tracking = self.tracking or "empty"
        return tracking if self.auth is None else f"{tracking} (auth {self.auth})"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A verdict, the code of the case, one sentence why, and what to do if it is not SAFE."""

    verdict: Verdict
    code: str
    reason: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class SchemaTable:
    """What is known of MLflow's schemas: version -> heads, and per chain every revision, first to last.

    The chains are `tracking` and `auth`. Both have always been linear, which is what 'ahead' and 'behind' rest on.
    """

    heads: Mapping[str, Heads] = field(default_factory=dict)
    revisions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def required(self, version: str) -> Heads | None:
        """Return the heads that an MLflow version requires, None if the table does not know the version."""
        return self.heads.get(version)

    def versions_on(self, head: str | None) -> tuple[str, ...]:
        """Return the MLflow versions that run on a tracking head, oldest first; none run without one."""
        return tuple(v for v in sorted(self.heads, key=version_order) if self.heads[v].tracking == head)

    def direction(self, found: str | None, required: str, *, chain: str = "tracking") -> Direction:
        """Return where a database at `found` stands for a release that needs `required`."""
        if found is None:
            return Direction.EMPTY
        if found == required:
            return Direction.EQUAL
        order = self.revisions.get(chain, ())
        if found not in order or required not in order:
            return Direction.UNKNOWN
        return Direction.AHEAD if required in order[: order.index(found)] else Direction.BEHIND

    def pending(self, found: str | None, required: str, *, chain: str = "tracking") -> tuple[str, ...]:
        """Return the revisions that lie between `found` and `required`, empty if none does or it is not known."""
        order = self.revisions.get(chain, ())
        if required not in order or (found is not None and found not in order):
            return ()
        return order[0 if found is None else order.index(found) + 1 : order.index(required) + 1]


def parse_table(document: Mapping[str, Any]) -> SchemaTable:
    """Return the table that `schema_heads.json` holds.

    Raises PlatformFailed for another shape, and for a head that its chain does not hold.
    """
    try:
        revisions = {chain: tuple(map(str, ids)) for chain, ids in document["revisions"].items()}
        heads = {
            str(version): Heads(tracking=entry["tracking"], auth=entry.get("auth"))
            for version, entry in document["versions"].items()
        }
    except (KeyError, TypeError, AttributeError):
        raise PlatformFailed(
            "schema_heads.json holds no `versions` and `revisions`.",
            code="schema-table-malformed",
            fix="Make it again.",
        ) from None
    for version, needed in heads.items():
        if needed.tracking not in revisions.get("tracking", ()):
            raise PlatformFailed(
                f"schema_heads.json: the head of {version} is not in its chain.",
                code="schema-table-head-unknown",
                fix="Make it again.",
            )
    return SchemaTable(heads=heads, revisions=revisions)


def version_order(version: str) -> tuple[int, ...]:
    """Return a key that sorts MLflow versions from old to new."""
    return tuple(int(part) if part.isdigit() else -1 for part in version.split("."))


def direction(*, live: Heads, required: Heads, table: SchemaTable) -> Direction:
    """Return the direction of both databases together: the one that decides what can be done.

    The auth database counts only if it has a schema and the release has a head for it: without basic auth neither
    is touched.
    """
    if required.tracking is None:
        return Direction.UNKNOWN
    found = [table.direction(live.tracking, required.tracking)]
    if live.auth is not None and required.auth is not None:
        found.append(table.direction(live.auth, required.auth, chain="auth"))
    # One newer and one older than the release: no restore and no migration fixes both.
    if {Direction.AHEAD, Direction.BEHIND} <= set(found):
        return Direction.UNKNOWN
    order = (Direction.UNKNOWN, Direction.EMPTY, Direction.AHEAD, Direction.BEHIND, Direction.EQUAL)
    return min(found, key=order.index)


def decide(  # noqa: PLR0913 - what decides, by name
    *,
    version: str,
    required: Heads | None,
    live: Heads | None,
    table: SchemaTable,
    dump: str | None = None,
    pinned: bool = False,
) -> Decision:
    """Decide whether a release of MLflow `version`, which needs the heads `required`, may be put on a database.

    `live` are the database's heads, None if they could not be read. `dump` names the newest restorable dump with
    exactly the required heads. What is not known is BLOCKED: a guess here would be made with the user's data. While a
    revision is `pinned`, an update deploys no other one.
    """
    if live is None:
        return Decision(
            verdict=Verdict.BLOCKED,
            code="schema-not-read",
            reason="The database's schema could not be read.",
            fix="Start the database (make up) and repeat.",
        )
    if required is None:
        return Decision(
            verdict=Verdict.BLOCKED,
            code="version-not-in-table",
            reason=f"It is not known which schema MLflow {version} needs.",
            fix=_TABLE_FIX,
        )
    shown = required if live.auth is not None else Heads(tracking=required.tracking)
    need = f"{shown}, which MLflow {version} needs"
    found = direction(live=live, required=required, table=table)
    if found is Direction.EQUAL:
        return Decision(verdict=Verdict.SAFE, code="schema-fits", reason=f"The database is at {need}.")
    if found is Direction.AHEAD and dump is not None:
        return Decision(
            verdict=Verdict.RESTORE,
            code="schema-restorable",
            reason=f"The database is at {live}, newer than {need}; the dump {dump} has that schema.",
            fix="Add --restore; what was written since is lost, and --dry-run counts it.",
        )
    if found is Direction.AHEAD:
        return Decision(
            verdict=Verdict.BLOCKED,
            code="schema-newer",
            reason=f"The database is at {live}, newer than {need}, and no restorable dump has that schema.",
            fix=f"Choose a release of {_versions(table.versions_on(live.tracking))}.",
        )
    return _not_migrated(found, live, need, _LIFT if pinned else "")


def _not_migrated(found: Direction, live: Heads, need: str, lift: str) -> Decision:
    """Return the decision on a database that is not at the required schema, nor past it."""
    match found:
        case Direction.BEHIND:
            return Decision(
                verdict=Verdict.BLOCKED,
                code="schema-older",
                reason=f"The database is at {live}, older than {need}; MLflow would migrate it while it starts.",
                fix=f"{lift}Deploy that version with `pulumi up`, which dumps and migrates first.",
            )
        case Direction.EMPTY:
            return Decision(
                verdict=Verdict.BLOCKED,
                code="schema-empty",
                reason=f"The database has no schema yet, not {need}.",
                fix=f"{lift}Deploy with `pulumi up`, which makes it.",
            )
        case _:
            return Decision(
                verdict=Verdict.BLOCKED,
                code="schema-order-unknown",
                reason=f"The database is at {live}, and it is not known whether that is older than {need}.",
                fix=_TABLE_FIX,
            )


_LIFT = (
    "Lift the pin first, with `python -m scripts.rollback --stack STACK --unpin`: until then an update keeps to it. "
)
_TABLE_FIX = "Add the version to schema_heads.json with the script that makes it, and repeat."


def _versions(versions: Sequence[str]) -> str:
    """Return versions for a sentence: all of a few, else the span."""
    if not versions:
        return "a newer MLflow"
    if len(versions) > _SHOWN_VERSIONS:
        return f"MLflow {versions[0]} to {versions[-1]}"
    return f"MLflow {' or '.join(versions)}"
