"""The migration: dump, stop what a breaking revision would break, one writer, assert the head. Resumable.

It knows no target: what it needs of one is in `MigrationTarget`. Where a revision is breaking, the servers are
stopped before the dump, not after it: what a client got a success for must be in the dump that a failure restores.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.migrate.tool import RETRYABLE, DatabaseTool, Status
from mlflow_backend.schema import Direction, Heads

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.releases.journal import Journal
    from mlflow_backend.releases.ledger import Ledger
    from mlflow_backend.releases.records import Dump
    from mlflow_backend.target import Platform

OnFailure = Literal["stop", "restore"]
Found = TypeVar("Found")
PAUSES_S = (2.0, 5.0, 10.0)
"""Seconds before each further try of what a try may fix: a database that restarts, another writer that ends."""


class MigrationTarget(Protocol):
    """What a target gives to the migration. Every method may be repeated after an interruption."""

    platform: Platform
    ledger: Ledger
    migration: Journal

    def heads(self) -> Heads | None:
        """Return the schema heads by one query, None if the database does not answer."""

    def tool(self, version: str) -> DatabaseTool:
        """Return the database tool beside an MLflow version."""

    def dump(self, version: str) -> Dump:
        """Dump the databases into the backend's store with that version's tool. Raises PlatformFailed."""

    def restore(self, dump: Dump, version: str) -> None:
        """Replace the databases by a dump. Raises PlatformFailed; the databases are then as they were."""

    def serve(self, revision: str) -> None:
        """Start a revision and wait until it serves. Raises an error that says why it does not."""


@dataclass(frozen=True, kw_only=True)
class MigrationRequest:
    """What is asked for: the MLflow version, the heads it is known to need (None: ask it), and what a failure does."""

    version: str
    required: Heads | None
    on_failure: OnFailure = "stop"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was done: the heads now, the revisions applied, and the dump taken before."""

    heads: Heads
    applied: tuple[str, ...] = ()
    dump: str | None = None


def migrate(
    target: MigrationTarget, request: MigrationRequest, *, pause: Callable[[float], None] = time.sleep
) -> Outcome:
    """Bring the database to the head that the requested version needs.

    Raises PlatformFailed; whatever happened, a server whose schema is still there serves again.
    """
    begun = target.migration.load(*_ENTRY)
    heads = target.heads()
    if begun is None and heads is not None and heads == request.required:
        return Outcome(heads=heads)
    tool = target.tool(request.version)
    status = _patiently(tool.status, pause, "The schema could not be read")
    _refuse(status)
    if status.direction is Direction.EQUAL:
        _forget_abandoned(target, begun, status)
        return Outcome(heads=status.heads, dump=begun["dump"] if begun else None)
    return _bring_to_head(target, request, status, begun, pause)


def settle(journal: Journal) -> float | None:
    """Close the journal: the new revision serves on the migrated schema. Return the seconds of the migration."""
    begun = journal.load()
    journal.close()
    return None if begun is None else begun.get("seconds")


def after_failed_start(target: MigrationTarget, *, pause: Callable[[float], None] = time.sleep) -> str:
    """Do what is to be done when the migration went well and the new revision then does not serve; say it.

    Returns an empty text if no migration belongs to this update.
    """
    begun = target.migration.load("drained", "served", "to")
    if begun is None:
        return ""
    if not begun["drained"] or begun["served"] is None:
        target.migration.close()
        return f"The database stays at {_heads(begun['to'])}."
    return _back(target, begun, pause)


def _bring_to_head(
    target: MigrationTarget,
    request: MigrationRequest,
    status: Status,
    begun: dict[str, Any] | None,
    pause: Callable[[float], None],
) -> Outcome:
    entry, started = _entry(target, request, status, begun), time.monotonic()
    try:
        if status.direction is Direction.BEHIND:
            _secure(target, request, status, entry, pause)
        target.migration.write(entry)
        applied = _patiently(target.tool(request.version).upgrade, pause, "The migration stopped")
        heads = _at_head(target, status)
        target.migration.write({**entry, "seconds": time.monotonic() - started})
    except Exception as failure:  # whatever a target meets, what was stopped must serve again
        raise PlatformFailed(f"{failure} {_back(target, entry, pause)}", code="migration-interrupted") from failure
    return Outcome(heads=heads, applied=applied, dump=entry["dump"])


_ENTRY = ("version", "from", "to", "served", "drained", "dump", "onFailure")


def _entry(
    target: MigrationTarget, request: MigrationRequest, status: Status, begun: dict[str, Any] | None
) -> dict[str, Any]:
    """Return the journal's entry; one that was interrupted on the way to the same heads is gone on with."""
    if begun is not None and begun["to"] == asdict(status.expected):
        return {**begun, "onFailure": request.on_failure}
    return {
        "version": request.version,
        "from": asdict(status.heads),
        "to": asdict(status.expected),
        "served": target.platform.serving() or (begun or {}).get("served"),
        "drained": bool(begun and begun["drained"]),
        "dump": None,
        "onFailure": request.on_failure,
    }


def _secure(
    target: MigrationTarget,
    request: MigrationRequest,
    status: Status,
    entry: dict[str, Any],
    pause: Callable[[float], None],
) -> None:
    """Stop the writers if a revision is breaking, and have a dump of the database as it is before the upgrade."""
    if status.breaking:
        entry["drained"] = True
        target.migration.write(entry)
        target.platform.stop_servers()
    half_way = asdict(status.heads) != entry["from"]
    if entry["dump"] is None or not (entry["drained"] or half_way):
        dump = _patiently(lambda: target.dump(request.version), pause, "No dump could be taken")
        target.ledger.add_dump(dump)
        entry["dump"] = dump.id


def _at_head(target: MigrationTarget, status: Status) -> Heads:
    heads = target.heads()
    if heads is None or heads.tracking != status.expected.tracking:
        raise PlatformFailed(
            f"The database is at {heads} after the migration, not at {status.expected}.", code="migration-not-at-head"
        )
    return heads


def _back(target: MigrationTarget, entry: dict[str, Any], pause: Callable[[float], None]) -> str:
    """Let the revision that served before serve again if that is possible; say what is."""
    served = entry["served"]
    heads = _heads_in_time(target, pause)
    if heads is not None and asdict(heads) == entry["from"]:
        return _serve_again(target, entry, "Nothing of the database was changed")
    dump = next((d for d in target.ledger.read().dumps if d.id == entry["dump"]), None)
    if entry["onFailure"] == "restore" and dump is not None:
        try:
            target.platform.stop_servers()
            target.restore(dump, entry["version"])
        except Exception as failure:  # noqa: BLE001 - both failures have to be reported
            return f"Restoring the dump {dump.id} failed too: {failure} Nothing serves."
        return _serve_again(target, entry, f"The dump {dump.id} taken before was restored")
    to = f"--to {served} " if served else ""
    back = f"go back with `python -m scripts.rollback --stack STACK {to}--restore` (docs/runbooks/rollback.md)"
    way = back if dump else "look at the database"
    return f"The database is at {heads or 'a schema that cannot be read'}; fix the cause and repeat, or {way}."


def _heads_in_time(target: MigrationTarget, pause: Callable[[float], None]) -> Heads | None:
    """Return the heads, waiting for a database that is just coming back: often it is what failed."""
    for seconds in PAUSES_S:
        if (heads := target.heads()) is not None:
            return heads
        pause(seconds)
    return target.heads()


def _serve_again(target: MigrationTarget, entry: dict[str, Any], done: str) -> str:
    served = entry["served"]
    if entry["drained"] and served is not None:
        try:
            target.serve(served)
        except Exception as failure:  # noqa: BLE001 - whatever a target raises, both failures have to be reported
            return f"{done}, but revision {served} does not start again: {failure}"
        target.migration.close()
        return f"{done}, and revision {served} serves again."
    target.migration.close()
    return f"{done}." if served is None else f"{done}, and revision {served} serves on."


def _forget_abandoned(target: MigrationTarget, begun: dict[str, Any] | None, status: Status) -> None:
    """Close a journal whose migration was interrupted and is not requested any more: what it stopped serves again."""
    if begun is not None and begun["to"] != asdict(status.expected):
        _serve_again(target, begun, "An interrupted migration was given up")


def _refuse(status: Status) -> None:
    if status.direction in {Direction.AHEAD, Direction.UNKNOWN, Direction.FOREIGN}:
        raise PlatformFailed(
            f"The database is {status.direction.value} for MLflow {status.mlflow_version}: it is at {status.heads}, "
            f"and {status.expected} is needed. {status.reason} Nothing was touched.",
            code="migration-refused",
        )


def _patiently(work: Callable[[], Found], pause: Callable[[float], None], what: str) -> Found:
    """Do the work, again if another try can fix it. Raises PlatformFailed with the tool's words."""
    for seconds in PAUSES_S:
        try:
            return work()
        except PlatformFailed as failure:
            if failure.code not in RETRYABLE:
                raise PlatformFailed(f"{what}: {failure}", code="migration-tool-failed") from None
        pause(seconds)
    try:
        return work()
    except PlatformFailed as failure:
        tries = len(PAUSES_S) + 1
        raise PlatformFailed(f"{what}, in {tries} tries: {failure}", code="migration-tries-used-up") from None


def _heads(document: dict[str, str | None]) -> str:
    return str(Heads(tracking=document["tracking"], auth=document["auth"]))
