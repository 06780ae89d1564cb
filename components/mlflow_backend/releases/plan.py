"""Pure: from the ledger, the platform's revisions and the live schema to a plan of a rollback, or its refusal.

It touches nothing and knows no target: the script prints what stands here, and `run` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused
from mlflow_backend.releases.views import dump_with, intact_dumps, survey
from mlflow_backend.schema import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.releases.records import Dump
    from mlflow_backend.releases.views import Situation, View

# A restore filled 46 KB in 0.14 s (docs/facts.md, C); a dump's bytes are compressed, so this is a careful rate.
_RESTORE_BYTES_S = 2_000_000
_RESTORE_LEAST_S = 1.0
# From start to healthy on two idle cores, 3.18.0 with one worker (docs/facts.md, B).
_START_S = 13.0


class AlreadyServing(Refused):
    """What is asked for serves already: the plan would be empty."""


class Step(StrEnum):
    """One step of a rollback; each may be repeated after an interruption."""

    STOP = "stop"
    RESTORE = "restore"
    ACTIVATE = "activate"
    WAIT = "wait"
    VERIFY = "verify"
    RECORD = "record"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the person asked for; with neither `to` nor `to_version` the default target is chosen.

    Without `record` nothing is written into a ledger and nothing is pinned: there is none.
    """

    to: str | None = None
    to_version: str | None = None
    restore: bool = False
    force: bool = False
    verify: bool = True
    record: bool = True


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a rollback will do.

    `downtime_s` is an estimate in seconds, 0 where the old server serves until the new one is ready. `losses` are the
    rows by kind that are newer than the dump, counted; empty where nothing is restored or nothing was counted yet.
    """

    target: str
    start: View | None
    goal: View
    dump: Dump | None
    steps: tuple[Step, ...]
    downtime_s: float
    force: bool = False
    losses: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def access_change(self) -> str:
        """Say how the way in changes, as a clause; empty where it stays, or cannot be told."""
        before, after = self.start.access if self.start else None, self.goal.access
        if before is None or after is None or before == after:
            return ""
        open_now = ", and whoever reaches the URL may read and write" if after == "none" else ""
        return f"access changes from {before} to {after}{open_now}"


def plan(situation: Situation, request: Request) -> Plan:
    """Return the plan that fulfils the request. Raises Refused, and AlreadyServing where nothing is to be done."""
    if situation.busy and not request.force:
        raise Refused(
            f"A deployment is in progress: {situation.busy}.", fix="Let it end, or stop it first with --force."
        )
    views = survey(situation)
    start = next((view for view in views if view.current), None)
    goal = _goal(views, request)
    if goal.serves:
        raise AlreadyServing(f"{goal} serves already.", fix="Nothing has to be rolled back.")
    if goal.state == "gone":
        raise Refused(
            f"{goal} is gone: the platform no longer holds what it ran.",
            fix="Choose another one with --to (`make releases` lists them), or deploy that version again.",
        )
    if goal.decision.verdict is Verdict.BLOCKED:
        raise Refused(f"{goal} is BLOCKED. {goal.decision.reason}", fix=goal.decision.fix)
    restoring = goal.decision.verdict is Verdict.RESTORE
    if restoring and not request.restore:
        raise Refused(f"{goal} needs a RESTORE. {goal.decision.reason}", fix=goal.decision.fix)
    dump = dump_with(goal.heads, intact_dumps(situation)) if restoring else None
    return Plan(
        target=situation.target,
        start=start,
        goal=goal,
        dump=dump,
        steps=_steps(request, restoring=restoring),
        downtime_s=_downtime(views, goal, dump),
        force=request.force and situation.busy is not None,
        notes=tuple(_notes(goal, request, restoring=restoring)),
    )


def default_goal(views: Sequence[View], *, restore: bool = False) -> View | None:
    """Return the newest verified release that does not serve, is not gone, not blocked, was not left, and is SAFE.

    With `restore` one that needs a restore is taken where none is SAFE.
    """
    fit = [v for v in views if v.verified and not v.current and v.state != "gone" and not (v.blocked or v.left)]
    verdicts = (Verdict.SAFE, Verdict.RESTORE) if restore else (Verdict.SAFE,)
    for verdict in verdicts:
        for view in fit:
            if view.decision.verdict is verdict:
                return view
    return None


def _goal(views: Sequence[View], request: Request) -> View:
    if request.to is not None and request.to_version is not None:
        raise Refused("Both a revision and a version are asked for.", fix="Give --to or --to-version, not both.")
    if request.to is not None:
        for view in views:
            if view.revision == request.to:
                return view
        known = ", ".join(view.revision for view in views[:10]) or "none"
        raise Refused(f"Revision {request.to} does not exist.", fix=f"Choose one with --to; the newest are: {known}.")
    if request.to_version is not None:
        return _goal_of_version(views, request.to_version)
    goal = default_goal(views, restore=request.restore)
    if goal is None:
        raise Refused(f"No release can be rolled back to. {_why_none(views)}", fix=_fix_none(views))
    return goal


def _goal_of_version(views: Sequence[View], version: str) -> View:
    of_version = [view for view in views if view.mlflow_version == version]
    fit = [view for view in of_version if view.verified and view.state != "gone" and not (view.blocked or view.left)]
    if fit:
        return fit[0]
    if not of_version:
        versions = ", ".join(dict.fromkeys(view.mlflow_version for view in views)) or "none"
        raise Refused(f"No release of MLflow {version} is known.", fix=f"Choose one of: {versions}.")
    raise Refused(
        f"No release of MLflow {version} is verified, still there, and neither blocked nor left by a rollback.",
        fix=f"Name one with --to if you mean it: {', '.join(view.revision for view in of_version)}.",
    )


def _why_none(views: Sequence[View]) -> str:
    """Say why each of the newest releases is not the default, so that the person can choose."""
    reasons = [f"{view}: {_unfit(view)}" for view in views[:5]]
    return " ".join(reasons) or "The ledger and the platform know none."


def _unfit(view: View) -> str:
    if view.current:
        return "serves now." if view.serves else "is the current one, and does not serve."
    if view.state == "gone":
        return "is gone."
    if not view.verified:
        return "was never verified."
    if view.blocked or view.left:
        return "failed or was left by a rollback."
    return f"{view.decision.verdict.value}. {view.decision.reason}"


def _fix_none(views: Sequence[View]) -> str:
    if default_goal(views, restore=True) is not None:
        return "Add --restore; what was written since the dump is lost, and --dry-run counts it."
    return "Name one with --to if you mean it, or deploy with `pulumi up`."


def _steps(request: Request, *, restoring: bool) -> tuple[Step, ...]:
    steps = [Step.STOP, Step.RESTORE] if restoring else []
    steps += [Step.ACTIVATE, Step.WAIT]
    steps += [Step.VERIFY] if request.verify else []
    return (*steps, Step.RECORD) if request.record else tuple(steps)


def _downtime(views: Sequence[View], goal: View, dump: Dump | None) -> float:
    """Return the seconds without a server, by what the ledger measured of the goal's start, or of the newest known."""
    if dump is None and any(view.serves for view in views):
        return 0.0
    start_s = next((view.start_s for view in (goal, *views) if view.start_s is not None), _START_S)
    restore_s = max(_RESTORE_LEAST_S, dump.size_bytes / _RESTORE_BYTES_S) if dump else 0.0
    return round(restore_s + start_s, 1)


def _notes(goal: View, request: Request, *, restoring: bool) -> list[str]:
    notes = []
    if not goal.verified:
        notes.append("It was never verified.")
    if goal.blocked or goal.left:
        notes.append("It failed, or was left by a rollback, before.")
    if request.restore and not restoring:
        notes.append("The schema is the same: nothing will be restored.")
    return notes
