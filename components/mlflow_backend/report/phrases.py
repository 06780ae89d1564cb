"""Sentences that the terminal's form and the Markdown form of a report share. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.report.model import Operation, Outcome, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.report.model import Change, Drift, PolicyResult, Release, Report
    from mlflow_backend.report.quantities import Billed

HEADLINES: Final = {
    Verdict.UNCHANGED: "no changes",
    Verdict.CHANGES: "changes",
    Verdict.REFUSED: "REFUSED",
    Verdict.FAILED: "FAILED: it could not be previewed",
}
SIGNS: Final = {
    Operation.CREATE: "+",
    Operation.UPDATE: "~",
    Operation.REPLACE: "+-",
    Operation.DELETE: "-",
    Operation.IMPORT: "=",
    Operation.FORGET: "x",
}
_ACTIONS: Final = {"find out": "not known yet"}
_MANDATORY: Final = "mandatory"
_SHORT_DIGEST: Final = 19
QUANTITY_COLUMNS: Final = ("quantity", "before", "after", "unit")


def counts(report: Report) -> str:
    """Return `2 to create, 1 to replace, 9 unchanged`."""
    parts = [
        f"{number} unchanged" if name == "unchanged" else f"{number} to {name}"
        for name, number in report.counts.items()
    ]
    return ", ".join(parts) or "nothing in the plan"


def loss(change: Change) -> str:
    """Say what a replacement or deletion loses, and whether protection will stop it."""
    stopped = " It is protected: the update will be refused until that is lifted." if change.protected else ""
    return f"{change.name} will be {change.operation}d and holds {change.loses}.{stopped}"


def kind(type_token: str) -> str:
    """Return a type as people say it: `aws:rds:Instance`, `mlflow-backend:Migration`."""
    parts = type_token.removeprefix("pulumi-python:dynamic/").split(":")
    return ":".join([*(part.split("/")[0] for part in parts[:-1]), parts[-1]])


def differing(change: Change) -> str:
    """Return the properties that differ, those that force a replacement named as such."""
    forcing = f"forced by {', '.join(change.forcing)}" if change.forcing else ""
    rest = ", ".join(name for name in change.properties if name not in change.forcing)
    return "; ".join(part for part in (forcing, rest) if part)


def release(report: Report) -> Iterator[str]:
    """Say what is served before and after, a line each that differs."""
    before, after = report.before, report.after
    if before == after:
        if after is not None:
            yield f"unchanged: {_release(after)}"
    elif before is None and after is not None:
        yield f"first: {_release(after)}"
    elif after is None and before is not None:
        yield f"from {_release(before)} to what is not known before the update"
    elif before is not None and after is not None:
        yield f"from {_release(before)}"
        yield f"to {_release(after)}"


def migration(report: Report) -> Iterator[str]:
    """Say what happens to the schema, how long nobody is served, and what going back takes."""
    found = report.migration
    if found is None:
        return
    yield f"{_ACTIONS.get(found.action, found.action)}: {found.schema}"
    if found.interrupted:
        yield f"interrupted: {found.interrupted}"
    if found.pending:
        yield f"{len(found.pending)} pending revision(s), {'BREAKING' if found.breaking else 'safe'}"
    if found.rows:
        counted = ", ".join(f"{table} {count}" for table, count in found.rows.items() if count)
        yield f"rows in the tables that they touch: {counted or 'none'}"
    if found.downtime:
        yield f"downtime: {found.downtime}"
    if found.restore_needed:
        yield f"rollback: {found.rollback}"
    elif found.restore_needed is False:
        yield "rollback: needs no restore"
    yield from found.upgrade


def policy_rows(report: Report) -> Iterator[tuple[Outcome, str, str, str, str]]:
    """Return a row for each policy to read: outcome, its name for people, policies, a line per finding, remediation."""
    for each in report.policies:
        if each.outcome in {Outcome.VIOLATED, Outcome.NOT_EVALUATED} and each.findings:
            called = each.outcome if each.level == _MANDATORY else f"{each.outcome} ({each.level})"
            remediation = each.remediation if each.outcome is Outcome.VIOLATED else ""
            yield each.outcome, called, each.name, "\n".join(_findings(each)), remediation
    unheard = [each.name for each in report.policies if each.outcome is Outcome.NOT_EVALUATED and not each.findings]
    if unheard:
        yield Outcome.NOT_EVALUATED, Outcome.NOT_EVALUATED, ", ".join(unheard), "nothing was evaluated", ""


def _findings(result: PolicyResult) -> Iterator[str]:
    """Return a line for each finding, with all resources that have it."""
    by_message: dict[str, list[str]] = {}
    for finding in result.findings:
        by_message.setdefault(finding.message, []).append(finding.where)
    for message, where in by_message.items():
        yield f"{', '.join(where)}: {message}"
    if result.outcome is Outcome.NOT_EVALUATED and result.evaluated:
        yield f"of what is known or rendered from the settings, {result.evaluated} passed"


def policies(report: Report) -> str:
    """Return how many policies came to what."""
    by_outcome = {outcome: [each for each in report.policies if each.outcome is outcome] for outcome in Outcome}
    return ", ".join(f"{len(each)} {outcome}" for outcome, each in by_outcome.items() if each)


def drift(found: Drift) -> str:
    """Say how a resource differs from the state."""
    if found.gone:
        return f"{found.name} is gone"
    return f"{found.name} differs in {', '.join(found.properties) or 'what the state says of it'}"


def quantity(each: Billed) -> tuple[str, str, str, str]:
    """Return the cells of a billed quantity; an amount that is not known yet says so."""
    before, after = ("not known yet" if amount is None else f"{amount:g}" for amount in (each.before, each.after))
    return each.what, before, after, f"{each.unit}, by the {each.per}"


def not_counted(report: Report) -> str:
    """Say what is billed besides what is counted."""
    return f"what is billed by use: {', '.join(report.by_use) or 'nothing'}"


def _release(found: Release) -> str:
    parts = [f"MLflow {found.mlflow_version or 'not known yet'}"]
    if found.image_digest:
        parts.append(f"image {found.image_digest[:_SHORT_DIGEST]}")
    if found.revision:
        parts.append(f"revision {found.revision}")
    if found.schema_head:
        parts.append(f"schema {found.schema_head}")
    return ", ".join(parts)
