"""The run of a rollback, so that it ends with the target serving or with everything as it was.

Each step is written into the journal before it is done, and each may be done again: a rollback that was killed is
finished by running the command once more. Where the target does not serve, or fails its verification, the way back is
taken: a rollback never makes it worse. Only if there is nothing to go back to does the target stay. A platform that can
serve a revision apart from users has it verified there first: if it fails, nothing was switched.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mlflow_backend.contract import BackendError, ExitCode, PlatformFailed, Refused, VerificationFailed
from mlflow_backend.releases import steps
from mlflow_backend.releases.plan import Step
from mlflow_backend.releases.text import counted
from mlflow_backend.verify.model import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.releases.plan import Plan
    from mlflow_backend.releases.steps import RollbackTarget


@dataclass(frozen=True, kw_only=True)
class RollbackOptions:
    """Besides the plan: why, how the target is verified, and whether an update does this by itself."""

    reason: str
    profile: str = "core"
    deadline_s: float = 180.0
    automatic: bool = False


@dataclass(frozen=True, kw_only=True)
class RollbackResult:
    """How a rollback ended: the case, its exit code, one sentence, what serves, and the last verification's table.

    `verdict` is the last verification's, None if there was none; `losses` are the rows that a restore lost, by kind.
    `cause` is why the target does not serve: what was found of it, or what a step met.
    """

    code: Literal["rolled-back", "gone-back", "stuck"]
    exit_code: ExitCode
    sentence: str
    serving: str | None
    table: str = ""
    pinned: bool = False
    verdict: str | None = None
    losses: Mapping[str, int] | None = None
    cause: str = ""


def begin(
    target: RollbackTarget, plan: Plan, options: RollbackOptions, *, say: Callable[[str], None]
) -> RollbackResult:
    """Carry out a plan.

    Raises Refused, with nothing touched, if the schema is not the planned one any more or an update has begun.
    """
    if plan.force:
        _stop_deployment(target)
    entry: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "from": plan.start.revision if plan.start else None,
        "fromServed": target.platform.serving() is not None,
        "to": plan.goal.revision,
        "toVersion": plan.goal.mlflow_version,
        "toHeads": asdict(plan.goal.heads) if plan.goal.heads else None,
        "dump": plan.dump.id if plan.dump else None,
        "losses": dict(plan.losses),
        "access": plan.access_change,
        "steps": [step.value for step in plan.steps],
        "verdict": None,
        "table": "",
        "back": None,
        **asdict(options),
    }
    # Written before it is asked: an update writes nothing while this is open, and this one goes on while none does.
    # Not asked if one was just stopped: ECS's own way back from it is a deployment too, which may never end.
    target.rollback.write(entry)
    if not plan.force and (busy := target.platform.busy()):
        target.rollback.close()
        raise Refused(
            f"A deployment has begun meanwhile: {busy}.", code="deployment-begun", fix="Let it end, and repeat."
        )
    return _go_on(target, entry, say)


_ENTRY = (
    *("id", "begun", "from", "fromServed", "to", "toVersion", "toHeads", "dump", "losses", "steps", "verdict", "table"),
    *("back", "automatic", "reason", "profile", "deadline_s"),
)
"""What `begin` writes, and a rollback is finished by."""


def resume(target: RollbackTarget, *, to: str | None, say: Callable[[str], None]) -> RollbackResult | None:
    """Finish a rollback that was interrupted; None if none was.

    Raises Refused if `to` is another target than that rollback's.
    """
    entry = target.rollback.load(*_ENTRY)
    if entry is None:
        return None
    if to is not None and to != entry["to"]:
        raise Refused(
            f"A rollback to revision {entry['to']}, begun {entry['begun']}, was interrupted.",
            code="rollback-of-another-target",
            fix="Finish it first: run the command without --to.",
        )
    say(f"finishing the rollback to revision {entry['to']} that was begun {entry['begun']} and interrupted")
    if entry["steps"][0] == Step.RESTORE:
        # What the killed run had started may still restore, and would end the count of what is lost in its middle.
        entry["steps"] = [Step.STOP.value, *entry["steps"]]
    return _go_on(target, entry, say)


def _stop_deployment(target: RollbackTarget) -> None:
    """End what is being deployed. Raises Refused if it had changed the schema that the plan was made for."""
    planned = target.heads()
    target.platform.stop_deployment()
    heads = target.heads()
    if heads != planned:
        raise Refused(
            f"The deployment was stopped, and it had brought the database from {planned} to {heads}.",
            code="deployment-had-migrated",
            fix="Repeat: the plan is another one now.",
        )


def _go_on(target: RollbackTarget, entry: dict[str, Any], say: Callable[[str], None]) -> RollbackResult:
    """Do the steps that are left, or the way back if that was begun."""
    if entry["back"] is not None:
        return _go_back(target, entry, say)
    left = list(entry["steps"])
    for number, name in enumerate(left):
        step = Step(name)
        entry["steps"] = left[number:]
        target.rollback.write(entry)
        say(steps.words(step, entry))
        try:
            steps.ACTIONS[step](target, entry)
        except Exception as error:  # noqa: BLE001 - whatever a target meets, the way back must be taken
            nothing_to_go_back_to = step is Step.VERIFY and not entry["fromServed"]
            if nothing_to_go_back_to:
                continue
            red = isinstance(error, VerificationFailed)
            code = ExitCode.VERIFICATION_FAILED if red else ExitCode.PLATFORM_FAILED
            judged = isinstance(error, BackendError) and error.code in steps.FINDINGS
            finding = f"{'' if judged else f'{step.value} failed: '}{error}".removesuffix(".")
            return _go_back(target, entry | {"back": finding, "backCode": int(code)}, say)
    target.migration.close()
    target.rollback.close()
    return _done(target, entry)


def _go_back(target: RollbackTarget, entry: dict[str, Any], say: Callable[[str], None]) -> RollbackResult:
    """Make it as it was before the rollback. Its journal stays open until that is so."""
    with contextlib.suppress(PlatformFailed):
        # A disk that is full, say, must not keep the server away: without this word the next run tries once more.
        target.rollback.write(entry)
    to, start = entry["to"], entry["from"]
    code = ExitCode(entry["backCode"])
    say(f"revision {to}: {entry['back']}; going back to what was before")
    try:
        if entry["dump"] is not None and steps.is_at(target, entry["toHeads"]):
            target.platform.stop_servers()
            target.undo_restore()
        if entry["fromServed"] and start is not None:
            target.serve(start)
    except Exception as error:  # noqa: BLE001 - both failures have to be reported, and the journal stays open
        why = str(error).removesuffix(".")
        return RollbackResult(
            code="stuck",
            exit_code=ExitCode.PLATFORM_FAILED,
            sentence=f"Revision {to}: {entry['back']}. Going back failed as well: {why}. Mend that and run this again.",
            serving=target.platform.serving(),
            table=entry["table"],
            cause=entry["back"],
        )
    target.rollback.close()
    serving = target.platform.serving()
    # If nothing served before there is nothing to go back to: a target that had started runs on.
    as_before = bool(serving) is bool(entry["fromServed"])
    now = _NOW[serving is not None, as_before].format(serving=serving)
    return RollbackResult(
        code="gone-back",
        exit_code=code,
        sentence=f"Not rolled back: revision {to}: {entry['back']}. Now {now}.",
        serving=serving,
        table=entry["table"],
        cause=entry["back"],
    )


def _done(target: RollbackTarget, entry: dict[str, Any]) -> RollbackResult:
    verdict, pinned = entry["verdict"], Step.RECORD in entry["steps"] and not entry["automatic"]
    pin = " and is pinned" if pinned else ""
    how = {None: "not verified", Result.PASS.value: "verified"}.get(verdict, f"its verification: {verdict}")
    lost = f" Lost: {counted(entry['losses']) or 'nothing'}." if entry["dump"] else ""
    # A rollback that was begun by an older command says nothing of it.
    access = f" Its {entry['access']}." if entry.get("access") else ""
    return RollbackResult(
        code="rolled-back",
        exit_code=_CODES.get(verdict, ExitCode.DONE),
        sentence=f"Revision {entry['to']} (MLflow {entry['toVersion']}) serves{pin}; {how}.{lost}{access}",
        serving=target.platform.serving(),
        table=entry["table"],
        pinned=pinned,
        verdict=verdict,
        losses=entry["losses"] if entry["dump"] else None,
    )


# By whether a revision serves now, and whether that is as before.
_NOW = {
    (True, True): "revision {serving} serves, as before",
    (True, False): "revision {serving} serves",
    (False, True): "nothing serves, as before",
    (False, False): "nothing serves",
}
_CODES = {
    Result.FAIL.value: ExitCode.VERIFICATION_FAILED,
    Result.INCONCLUSIVE.value: ExitCode.INCONCLUSIVE,
}
