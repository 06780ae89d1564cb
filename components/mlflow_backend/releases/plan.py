"""The plan of a rollback, or its refusal, from the ledger, the platform's revisions and the live schema. Pure.

It touches nothing and knows no target: the script prints what stands here, and `run` carries it out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused
from mlflow_backend.releases.status import list_releases
from mlflow_backend.schema import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.releases.records import Dump
    from mlflow_backend.releases.status import ReleaseStatus, RollbackContext

# A restore filled 46 KB in 0.14 s (docs/facts.md, C); a dump's bytes are compressed, so this is a careful rate.
_RESTORE_BYTES_S = 2_000_000
_RESTORE_LEAST_S = 1.0
# From start to healthy on two idle cores, 3.18.0 with one worker (docs/facts.md, B).
_START_S = 13.0


class Step(StrEnum):
    """One step of a rollback; each may be repeated after an interruption."""

    STOP = "stop"
    RESTORE = "restore"
    ACTIVATE = "activate"
    WAIT = "wait"
    VERIFY = "verify"
    RECORD = "record"


class Unfit(StrEnum):
    """Why a release is not the default target of a rollback."""

    SERVES = "serves now."
    CURRENT = "is the current one, and does not serve."
    GONE = "is gone."
    UNVERIFIED = "was never verified."
    FAILED = "failed, or was left by a rollback."


class Note(StrEnum):
    """What a person overrides with a plan, or asked for in vain."""

    UNVERIFIED = "It was never verified."
    FAILED = "It failed, or was left by a rollback, before."
    NOTHING_RESTORED = "The schema is the same: nothing will be restored."


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
    rows by kind that are newer than the dump, counted; empty if nothing is restored or nothing was counted yet.
    """

    target: str
    start: ReleaseStatus | None
    goal: ReleaseStatus
    dump: Dump | None
    steps: tuple[Step, ...]
    downtime_s: float
    force: bool = False
    losses: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()

    @property
    def access_change(self) -> str:
        """Say how access changes, as a clause; empty if it stays, or is not known."""
        before, after = self.start.access if self.start else None, self.goal.access
        if before is None or after is None or before == after:
            return ""
        open_now = ", and whoever reaches the URL may read and write" if after == "none" else ""
        return f"access changes from {before} to {after}{open_now}"


def plan(context: RollbackContext, request: Request) -> Plan:
    """Return the plan that fulfils the request. Raises Refused, and Refused if nothing is to be done."""
    if context.busy and not request.force:
        raise Refused(
            f"A deployment is in progress: {context.busy}.",
            code="deployment-in-progress",
            fix="Let it end, or stop it first with --force.",
        )
    releases = list_releases(context)
    start = next((release for release in releases if release.current), None)
    goal = _goal(releases, request)
    if goal.serves:
        raise Refused(f"{goal} serves already.", code="serves-already", fix="Nothing has to be rolled back.")
    if goal.state == "gone":
        raise Refused(
            f"{goal} is gone: the platform no longer holds what it ran.",
            code="release-gone",
            fix="Choose another one with --to (`make releases` lists them), or deploy that version again.",
        )
    if goal.decision.verdict is Verdict.BLOCKED:
        raise Refused(f"{goal} is BLOCKED. {goal.decision.reason}", code="release-blocked", fix=goal.decision.fix)
    restoring = goal.decision.verdict is Verdict.RESTORE
    if restoring and not request.restore:
        raise Refused(f"{goal} needs a RESTORE. {goal.decision.reason}", code="restore-needed", fix=goal.decision.fix)
    dump = goal.restore_from if restoring else None
    return Plan(
        target=context.target,
        start=start,
        goal=goal,
        dump=dump,
        steps=_steps(request, restoring=restoring),
        downtime_s=_downtime(releases, goal, dump),
        force=request.force and context.busy is not None,
        notes=tuple(_notes(goal, request, restoring=restoring)),
    )


def default_goal(releases: Sequence[ReleaseStatus], *, restore: bool = False) -> ReleaseStatus | None:
    """Return the newest verified release that does not serve, is not gone, not blocked, was not left, and is SAFE.

    With `restore` one that needs a restore is taken if none is SAFE.
    """
    fit = [
        v
        for v in releases
        if v.verified and not v.current and v.state != "gone" and not (v.blocked or v.rolled_back_from)
    ]
    verdicts = (Verdict.SAFE, Verdict.RESTORE) if restore else (Verdict.SAFE,)
    for verdict in verdicts:
        for release in fit:
            if release.decision.verdict is verdict:
                return release
    return None


def _goal(releases: Sequence[ReleaseStatus], request: Request) -> ReleaseStatus:
    if request.to is not None and request.to_version is not None:
        raise Refused(
            "Both a revision and a version are asked for.",
            code="target-ambiguous",
            fix="Give --to or --to-version, not both.",
        )
    if request.to is not None:
        for release in releases:
            if release.revision == request.to:
                return release
        known = ", ".join(release.revision for release in releases[:10]) or "none"
        raise Refused(
            f"Revision {request.to} does not exist.",
            code="revision-unknown",
            fix=f"Choose one with --to; the newest are: {known}.",
        )
    if request.to_version is not None:
        return _goal_of_version(releases, request.to_version)
    goal = default_goal(releases, restore=request.restore)
    if goal is None:
        raise Refused(
            f"No release can be rolled back to. {_why_none(releases)}",
            code="no-release-to-roll-back-to",
            fix=_fix_none(releases),
        )
    return goal


def _goal_of_version(releases: Sequence[ReleaseStatus], version: str) -> ReleaseStatus:
    of_version = [release for release in releases if release.mlflow_version == version]
    fit = [
        release
        for release in of_version
        if release.verified and release.state != "gone" and not (release.blocked or release.rolled_back_from)
    ]
    if fit:
        return fit[0]
    if not of_version:
        versions = ", ".join(dict.fromkeys(release.mlflow_version for release in releases)) or "none"
        raise Refused(
            f"No release of MLflow {version} is known.", code="version-unknown", fix=f"Choose one of: {versions}."
        )
    raise Refused(
        f"No release of MLflow {version} is verified, still there, and neither blocked nor left by a rollback.",
        code="version-without-fit-release",
        fix=f"Name one with --to if you mean it: {', '.join(release.revision for release in of_version)}.",
    )


def _why_none(releases: Sequence[ReleaseStatus]) -> str:
    """Say why each of the newest releases is not the default, so that the person can choose."""
    reasons = [f"{release}: {_unfit(release)}" for release in releases[:5]]
    return " ".join(reasons) or "The ledger and the platform know none."


def _unfit(release: ReleaseStatus) -> str:
    if release.current:
        return Unfit.SERVES if release.serves else Unfit.CURRENT
    if release.state == "gone":
        return Unfit.GONE
    if not release.verified:
        return Unfit.UNVERIFIED
    if release.blocked or release.rolled_back_from:
        return Unfit.FAILED
    return f"{release.decision.verdict.value}. {release.decision.reason}"


def _fix_none(releases: Sequence[ReleaseStatus]) -> str:
    if default_goal(releases, restore=True) is not None:
        return "Add --restore; what was written since the dump is lost, and --dry-run counts it."
    return "Name one with --to if you mean it, or deploy with `pulumi up`."


def _steps(request: Request, *, restoring: bool) -> tuple[Step, ...]:
    steps = [Step.STOP, Step.RESTORE] if restoring else []
    steps += [Step.ACTIVATE, Step.WAIT]
    steps += [Step.VERIFY] if request.verify else []
    return (*steps, Step.RECORD) if request.record else tuple(steps)


def _downtime(releases: Sequence[ReleaseStatus], goal: ReleaseStatus, dump: Dump | None) -> float:
    """Return the seconds without a server, by what the ledger measured of the goal's start, or of the newest known."""
    if dump is None and any(release.serves for release in releases):
        return 0.0
    start_s = next((release.start_s for release in (goal, *releases) if release.start_s is not None), _START_S)
    return round((restore_s(dump.size_bytes) if dump else 0.0) + start_s, 1)


def restore_s(size_bytes: int) -> float:
    """Return the seconds that restoring dumps of this size may take, an estimate."""
    return max(_RESTORE_LEAST_S, size_bytes / _RESTORE_BYTES_S)


def _notes(goal: ReleaseStatus, request: Request, *, restoring: bool) -> list[Note]:
    notes = []
    if not goal.verified:
        notes.append(Note.UNVERIFIED)
    if goal.blocked or goal.rolled_back_from:
        notes.append(Note.FAILED)
    if request.restore and not restoring:
        notes.append(Note.NOTHING_RESTORED)
    return notes
