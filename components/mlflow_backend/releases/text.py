"""A plan and a list of releases, as text for people and as data for programs. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlflow_backend import vulnerabilities
from mlflow_backend.schema import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mlflow_backend.releases.ledger import Contents
    from mlflow_backend.releases.plan import Plan
    from mlflow_backend.releases.status import ReleaseStatus

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))
_PLURAL = re.compile(r"(?<=[a-z])s\b")
_COLUMNS = ("revision", "state", "MLflow", "schema", "verified", "age", "rollback", "")


def plan_lines(plan: Plan) -> list[str]:
    """Return what a rollback will do, for a person to agree to."""
    lines = [
        f"from       {_start(plan)}",
        f"to         {plan.goal}",
        f"schema     {plan.goal.decision.verdict.value}: {plan.goal.decision.reason}",
        f"lost       {_losses(plan)}",
        f"downtime   {_downtime(plan)}",
        f"steps      {', '.join(step.value for step in plan.steps)}",
    ]
    if plan.access_change:
        lines.append(f"access     {plan.access_change}")
    if known := vulnerabilities.note(plan.goal.mlflow_version):
        lines.append(f"known      {known}")
    if plan.force:
        lines.append("first      the deployment in progress is stopped")
    return [*lines, *(f"note       {note}" for note in plan.notes)]


def plan_document(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON-like data."""
    return {
        "target": plan.target,
        "from": plan.start.revision if plan.start else None,
        "to": plan.goal.revision,
        "toVersion": plan.goal.mlflow_version,
        "schema": {"verdict": plan.goal.decision.verdict.value, "reason": plan.goal.decision.reason},
        "dump": plan.dump.id if plan.dump else None,
        "losses": dict(plan.losses),
        "downtimeSeconds": plan.downtime_s,
        "steps": [step.value for step in plan.steps],
        "knownVulnerabilities": vulnerabilities.note(plan.goal.mlflow_version),
        "accessChange": plan.access_change,
        "notes": list(plan.notes),
    }


def release_document(release: ReleaseStatus) -> dict[str, Any]:
    """Return one revision as JSON-like data."""
    return {
        "revision": release.revision,
        "state": release.state,
        "mlflowVersion": release.mlflow_version,
        "schemaHead": release.heads.tracking if release.heads else None,
        "authHead": release.heads.auth if release.heads else None,
        "verified": release.verified_at.isoformat() if release.verified_at else None,
        "created": release.created_at.isoformat() if release.created_at else None,
        "rollback": {
            "verdict": release.decision.verdict.value,
            "reason": release.decision.reason,
            "fix": release.decision.fix,
        },
        "serving": release.serves,
        "current": release.current,
        "pinned": release.pinned,
        "blocked": release.blocked,
        "rolledBackFrom": release.rolled_back_from,
        "dump": release.dump,
    }


def table(releases: Sequence[ReleaseStatus], *, now: datetime) -> list[str]:
    """Return the releases as an aligned table, newest first."""
    rows = [_COLUMNS, *(_row(release, now) for release in releases)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def blocked_lines(releases: Sequence[ReleaseStatus]) -> list[str]:
    """Return why releases are BLOCKED, each reason once with the revisions that it holds."""
    held: dict[str, list[str]] = {}
    for release in releases:
        if release.decision.verdict is Verdict.BLOCKED and not release.serves and release.state != "gone":
            held.setdefault(f"{release.decision.reason} {release.decision.fix}".rstrip(), []).append(release.revision)
    return [f"{Verdict.BLOCKED.value} {', '.join(revisions)}: {why}" for why, revisions in held.items()]


def ledger_lines(contents: Contents) -> list[str]:
    """Return what the ledger holds the stack to, and what of the ledger is damaged."""
    state = contents.state
    lines = [f"ledger: {damage.finding}" for damage in contents.damage]
    if state.pin is not None:
        pin = state.pin
        lines.append(
            f"pinned to {pin.revision} since {_time(pin.since)} by {pin.by}: {pin.reason or 'no reason given'}"
        )
    lines += [
        f"blocked: {block.revision} since {_time(block.since)} ({block.reason}); {block.instead} serves instead"
        for block in state.blocks
    ]
    return lines


def _start(plan: Plan) -> str:
    if plan.start is None:
        return "nothing that serves"
    return f"{plan.start}" if plan.start.serves else f"{plan.start}, which does not serve"


def _row(release: ReleaseStatus, now: datetime) -> tuple[str, ...]:
    since = release.created_at or release.verified_at
    words = {
        "serves": release.serves,
        "current": release.current and not release.serves,
        "pinned": release.pinned,
        "blocked": release.blocked,
        "left by a rollback": release.rolled_back_from and not release.blocked,
    }
    return (
        release.revision,
        release.state,
        release.mlflow_version,
        (release.heads.tracking if release.heads else None) or "?",
        "verified" if release.verified else "no",
        _age((now - since).total_seconds()) if since else "?",
        "-" if release.serves or release.state == "gone" else release.decision.verdict.value,
        ", ".join(word for word, holds in words.items() if holds),
    )


def _age(seconds: float) -> str:
    if seconds < 0:
        # A clock was wrong, then or now.
        return f"in {_age(-seconds)}"
    for size, unit in _UNITS:
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _losses(plan: Plan) -> str:
    if plan.dump is None:
        return "nothing: the database stays as it is"
    lost = counted(plan.losses) or "nothing"
    return f"what was written since {_time(plan.dump.taken_at)}, by verifications too: {lost}"


def counted(losses: Mapping[str, int]) -> str:
    """Return losses as words: `12 runs, 1 changed model version`."""
    return ", ".join(f"{count} {_singular(name) if count == 1 else name}" for name, count in losses.items())


def _singular(name: str) -> str:
    return _PLURAL.sub("", name).replace("that come back", "that comes back")


def _downtime(plan: Plan) -> str:
    if plan.downtime_s == 0:
        return "none: the old server serves until the other one is ready"
    return f"about {plan.downtime_s:.0f} s"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
