"""The work of the dynamic resource Migration: the forecast at check, the migration at create and update."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulumi.output import Unknown

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.dynamic import offered_to
from mlflow_backend.locator import from_document
from mlflow_backend.migrate.forecast import Seen
from mlflow_backend.migrate.known import forecast
from mlflow_backend.migrate.step import MigrationRequest, migrate
from mlflow_backend.migrate.upgrade import Upgrade
from mlflow_backend.releases.journal import refuse_unfinished
from mlflow_backend.releases.targets import open_releases
from mlflow_backend.schema import Direction
from mlflow_backend.schema_tables import required_heads
from mlflow_backend.server import parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.migrate.forecast import Forecast

INPUTS: Final = ("locator", "mlflowVersion", "database", "onFailure")
_ACTIONS = {
    Direction.EQUAL: "none",
    Direction.EMPTY: "create",
    Direction.BEHIND: "migrate",
    Direction.AHEAD: "refuse",
    Direction.UNKNOWN: "find out",
}
_RUNS = frozenset({"create", "migrate"})


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The inputs with the forecast under `plan`, and why they are refused."""

    inputs: dict[str, Any]
    refusal: str | None = None


def check(inputs: Mapping[str, Any], *, served: str | None) -> Checked:
    """Say what the migration will do, and what else changes if another version is `served` now.

    What a preview does not know yet is left for later.
    """
    if any(isinstance(inputs.get(key), Unknown) for key in ("locator", "mlflowVersion")):
        return Checked(inputs=dict(inputs))
    try:
        target = open_releases(from_document(inputs["locator"]))
        made, interrupted = _forecast(target, inputs["mlflowVersion"])
        summary = _summary(target, made, served) if served else ()
    except (Refused, PlatformFailed) as error:
        return Checked(inputs=dict(inputs), refusal=offered_to(str(error), inputs))
    plan = {"action": _ACTIONS.get(made.direction, "find out"), **made.document()}
    if summary:
        plan["upgrade"] = [offered_to(line, inputs) for line in summary]
    if interrupted:
        plan["interrupted"] = "a migration was begun and not ended; the update goes on with it"
    refusal = made.refusal()
    said = None if refusal is None else offered_to(refusal, inputs)
    return Checked(inputs={**inputs, "plan": plan}, refusal=said)


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether the migration has to run: for another image or database, or if something is pending."""
    plan = news.get("plan") or {}
    differs = any(isinstance(news.get(key), Unknown) or olds.get(key) != news.get(key) for key in INPUTS)
    return differs or plan.get("action") in _RUNS or "interrupted" in plan


def run(inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Migrate, and return the resource's outputs.

    Raises PlatformFailed, and Refused if a rollback or a restore runs or was interrupted.
    """
    target = open_releases(from_document(inputs["locator"]))
    version = inputs["mlflowVersion"]
    # Basic auth has a schema of its own; on targets that have none, only the tracking head is known beforehand.
    live = target.heads()
    required = required_heads(version, auth=live is not None and live.auth is not None)
    with target.migration_lock():
        refuse_unfinished(target.store)
        try:
            outcome = migrate(
                target, MigrationRequest(version=version, required=required, on_failure=inputs["onFailure"])
            )
        except PlatformFailed as failure:
            raise PlatformFailed(offered_to(str(failure), inputs), code="migration-failed") from None
    return {
        **{key: inputs.get(key) for key in (*INPUTS, "plan")},
        "head": outcome.heads.tracking,
        "authHead": outcome.heads.auth,
        "applied": len(outcome.applied),
        "dump": outcome.dump,
    }


def _forecast(target: Any, version: str) -> tuple[Forecast, bool]:
    live = target.heads()
    if live is None:
        return forecast(version, _remembered(target)), False
    made = forecast(version, Seen(heads=live))
    if made.direction is Direction.BEHIND:
        tables = sorted({table for revision in made.pending for table in revision.tables})
        made = forecast(version, Seen(heads=live, rows=target.platform.row_counts(tables)))
    return made, target.migration.load() is not None


def _summary(target: Any, made: Forecast, served: str) -> tuple[str, ...]:
    if made.version == served:
        return ()
    change = Upgrade(
        served=parse_version(served),
        to=parse_version(made.version),
        forecast=made,
        store=target.platform.artifacts,
        roots=target.roots(),
    )
    return change.summary()


def _remembered(target: Any) -> Seen | None:
    """Return the schema that the ledger last saw; None if no release was ever verified."""
    releases = target.ledger.read().releases
    if not releases:
        return None
    last = releases[-1]
    return Seen(heads=last.release.heads, as_of=last.at)
