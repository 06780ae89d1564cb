"""Carrying out a rollback, so that it ends with the target serving or with everything as it was.

Each step is written into the journal before it is done, and each may be done again: a rollback that was killed is
finished by running the command once more. Where the target does not serve, or fails its verification, the way back is
taken: a rollback never makes it worse. Only where there is nothing to go back to does the target stay.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from components.contract import ExitCode, Refused
from components.releases.plan import Step
from components.releases.records import Block, Kind
from components.releases.stores import StoreError
from components.releases.text import counted
from components.releases.verification import identity
from components.verify.model import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from components.contract import WaitOutcome
    from components.releases.journal import Journal
    from components.releases.ledger import Ledger
    from components.releases.plan import Plan
    from components.releases.records import Dump, VerifiedRelease
    from components.schema import Heads
    from components.verify.report import Report

# MLflow gives up on an unreachable database after 107 s (docs/facts.md, B).
_WAIT_S = 120.0


class RollbackTarget(Protocol):
    """What a target gives to a rollback. Every method may be repeated after an interruption."""

    ledger: Ledger
    rollback: Journal
    migration: Journal

    def heads(self) -> Heads | None:
        """Return the live schema heads, None where they cannot be read."""

    def restore(self, dump: Dump, version: str) -> None:
        """Put a dump in the databases' place; on a failure they are as they were."""

    def losses(self, dump: Dump) -> Mapping[str, int]:
        """Count what restoring a dump loses, against the live database."""

    def undo_restore(self) -> None:
        """Put back the databases that the last restore replaced."""

    def serving(self) -> str | None:
        """Return the revision whose server runs and gets the traffic."""

    def stop_server(self) -> None:
        """End every server, with its grace period."""

    def busy(self) -> str | None:
        """Say, as a clause, what an update is doing right now; None where none does anything."""

    def stop_deployment(self) -> None:
        """End what an update is doing."""

    def start_server(self, revision: str) -> None:
        """Switch to a revision, and end what else of the switch runs; of one that serves, the second only."""

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until the revision serves, with the platform's own reasons where it does not."""

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Verify that the revision serves."""

    def release(self, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        """Return what the ledger records of a revision that was verified."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """Besides the plan: why, how the target is verified, and whether an update does this by itself."""

    reason: str
    profile: str = "core"
    deadline_s: float = 180.0
    automatic: bool = False


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a rollback ended: its exit code, one sentence, what serves, and the last verification's table."""

    exit_code: ExitCode
    sentence: str
    serving: str | None
    table: str = ""

    @property
    def rolled_back(self) -> bool:
        """Whether the target serves."""
        return self.exit_code in {ExitCode.DONE, ExitCode.INCONCLUSIVE}


class _StepFailed(Exception):
    """A step did not do what it was to do; the way back is taken."""

    def __init__(self, exit_code: ExitCode, finding: str) -> None:
        super().__init__(finding)
        self.exit_code = exit_code


def begin(target: RollbackTarget, plan: Plan, wish: Wish, *, say: Callable[[str], None]) -> Ended:
    """Carry out a plan.

    Raises Refused, with nothing touched, where the schema is not the planned one any more or an update has begun.
    """
    heads = target.heads()
    if plan.force:
        heads = _stop_deployment(target, heads)
    entry: dict[str, Any] = {
        "id": uuid.uuid4().hex,
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "from": plan.start.revision if plan.start else None,
        "fromServed": target.serving() is not None,
        "fromHeads": asdict(heads) if heads else None,
        "to": plan.goal.revision,
        "toVersion": plan.goal.mlflow_version,
        "toHeads": asdict(plan.goal.heads) if plan.goal.heads else None,
        "dump": plan.dump.id if plan.dump else None,
        "losses": dict(plan.losses),
        "steps": [step.value for step in plan.steps],
        "verdict": None,
        "table": "",
        "back": None,
        **asdict(wish),
    }
    # Written before it is asked: an update writes nothing while this is open, and this one goes on while none does.
    # Not asked where one was just stopped: ECS's own way back from it is a deployment too, which may never end.
    target.rollback.write(entry)
    if not plan.force and (busy := target.busy()):
        target.rollback.close()
        raise Refused(f"A deployment has begun meanwhile: {busy}.", fix="Let it end, and repeat.")
    return _go_on(target, entry, say)


def resume(target: RollbackTarget, *, to: str | None, say: Callable[[str], None]) -> Ended | None:
    """Finish a rollback that was interrupted; None where none was.

    Raises Refused where `to` is another target than that rollback's.
    """
    entry = target.rollback.load()
    if entry is None:
        return None
    if to is not None and to != entry["to"]:
        raise Refused(
            f"A rollback to revision {entry['to']}, begun {entry['begun']}, was interrupted.",
            fix="Finish it first: run the command without --to.",
        )
    say(f"finishing the rollback to revision {entry['to']} that was begun {entry['begun']} and interrupted")
    if entry["steps"][0] == Step.RESTORE:
        # What the killed run had started may still restore, and would end the count of what is lost in its middle.
        entry["steps"] = [Step.STOP.value, *entry["steps"]]
    return _go_on(target, entry, say)


def refuse_unfinished(journal: Journal) -> None:
    """Raise Refused where a rollback was interrupted: an update in between would end in neither of its two states."""
    entry = journal.load()
    if entry is not None:
        raise Refused(
            f"A rollback to revision {entry['to']}, begun {entry['begun']}, was interrupted.",
            fix="Finish it first with `python -m scripts.rollback --stack STACK`.",
        )


def _stop_deployment(target: RollbackTarget, planned: Heads | None) -> Heads | None:
    """End what is being deployed. Raises Refused where it had changed the schema that the plan was made for."""
    target.stop_deployment()
    heads = target.heads()
    if heads != planned:
        raise Refused(
            f"The deployment was stopped, and it had brought the database from {planned} to {heads}.",
            fix="Repeat: the plan is another one now.",
        )
    return heads


def _go_on(target: RollbackTarget, entry: dict[str, Any], say: Callable[[str], None]) -> Ended:
    """Do the steps that are left, or the way back where that was begun."""
    if entry["back"] is not None:
        return _go_back(target, entry, say)
    steps = list(entry["steps"])
    for number, name in enumerate(steps):
        step = Step(name)
        entry["steps"] = steps[number:]
        target.rollback.write(entry)
        say(_WORDS[step].format(**entry))
        try:
            _ACTIONS[step](target, entry)
        except Exception as error:  # noqa: BLE001 - whatever a target meets, the way back must be taken
            nothing_to_go_back_to = step is Step.VERIFY and not entry["fromServed"]
            if nothing_to_go_back_to:
                continue
            code = error.exit_code if isinstance(error, _StepFailed) else ExitCode.PLATFORM_FAILED
            finding = str(error) if isinstance(error, _StepFailed) else f"{step.value} failed: {error}"
            return _go_back(target, entry | {"back": finding, "backCode": int(code)}, say)
    target.migration.close()
    target.rollback.close()
    return _done(target, entry)


def _stop(target: RollbackTarget, _entry: dict[str, Any]) -> None:
    target.stop_server()


def _restore(target: RollbackTarget, entry: dict[str, Any]) -> None:
    """Restore, unless an interrupted run did it already: then the schema is the target's."""
    if _is_at(target, entry["toHeads"]):
        return
    dump = next(dump for dump in target.ledger.read().dumps if dump.id == entry["dump"])
    # Counted again: the plan's count was made while clients could still write.
    entry["losses"] = dict(target.losses(dump))
    target.rollback.write(entry)
    target.restore(dump, entry["toVersion"])


def _activate(target: RollbackTarget, entry: dict[str, Any]) -> None:
    # Where it serves already too: a run that was killed in the switch may have left the other server running.
    target.start_server(entry["to"])


def _wait(target: RollbackTarget, entry: dict[str, Any]) -> None:
    outcome = target.wait(entry["to"], deadline_s=_WAIT_S)
    if not outcome.serving:
        raise _StepFailed(ExitCode.PLATFORM_FAILED, "it did not get ready: " + "\n".join(outcome.reasons))


def _verify(target: RollbackTarget, entry: dict[str, Any]) -> None:
    report = target.verify(entry["to"], profile=entry["profile"], deadline_s=float(entry["deadline_s"]))
    entry |= {"verdict": (report.verdict or Result.INCONCLUSIVE).value, "table": report.text()}
    if report.verdict is Result.FAIL:
        raise _StepFailed(ExitCode.VERIFICATION_FAILED, "it fails its verification")
    if report.verdict is Result.PASS and Step.RECORD in entry["steps"]:
        target.ledger.add_release(
            target.release(entry["to"], verification_id=identity(report), verdict=report.verdict.value)
        )


def _record(target: RollbackTarget, entry: dict[str, Any]) -> None:
    """Pin the target, or block the release that an update rolled back from; once for one rollback."""
    contents = target.ledger.read()
    if entry["automatic"]:
        failed = target.release(entry["from"], verification_id="", verdict=Result.FAIL.value)
        block = Block(
            revision=entry["from"],
            settings_hash=failed.settings_hash,
            instead=entry["to"],
            since=datetime.now(UTC).replace(microsecond=0),
            reason=entry["reason"],
        )
        if contents.standing.block_of(failed.settings_hash) is None:
            target.ledger.add_block(block)
        return
    known = (r.body for r in contents.records if r.kind is Kind.ROLLBACK and isinstance(r.body, dict))
    if not any(body.get("id") == entry["id"] for body in known):
        detail = {
            "id": entry["id"],
            "restored": entry["dump"] or "",
            "verdict": entry["verdict"] or "not verified",
            **{f"lost {name}": str(count) for name, count in entry["losses"].items()},
        }
        target.ledger.add_rollback(to=entry["to"], left=entry["from"], reason=entry["reason"], detail=detail)


def _go_back(target: RollbackTarget, entry: dict[str, Any], say: Callable[[str], None]) -> Ended:
    """Make it as it was before the rollback. Its journal stays open until that is so."""
    with contextlib.suppress(StoreError):
        # A disk that is full, say, must not keep the server away: without this word the next run tries once more.
        target.rollback.write(entry)
    to, start = entry["to"], entry["from"]
    code = ExitCode(entry["backCode"])
    say(f"revision {to}: {entry['back']}; going back to what was before")
    try:
        if entry["dump"] is not None and _is_at(target, entry["toHeads"]):
            target.stop_server()
            target.undo_restore()
        if entry["fromServed"] and start is not None:
            target.start_server(start)
    except Exception as error:  # noqa: BLE001 - both failures have to be told, and the journal stays open
        sentence = f"Revision {to}: {entry['back']}. Going back failed as well: {error} Mend that and run this again."
        failed = ExitCode.PLATFORM_FAILED
        return Ended(exit_code=failed, sentence=sentence, serving=target.serving(), table=entry["table"])
    target.rollback.close()
    serving = target.serving()
    now = f"revision {serving} serves again, as before" if serving else "nothing serves, as before"
    sentence = f"Not rolled back: revision {to}: {entry['back']}. Now {now}."
    return Ended(exit_code=code, sentence=sentence, serving=serving, table=entry["table"])


def _done(target: RollbackTarget, entry: dict[str, Any]) -> Ended:
    verdict = entry["verdict"]
    held = " and is pinned" if Step.RECORD in entry["steps"] and not entry["automatic"] else ""
    how = {None: "not verified", Result.PASS.value: "verified"}.get(verdict, f"its verification: {verdict}")
    lost = f" Lost: {counted(entry['losses']) or 'nothing'}." if entry["dump"] else ""
    return Ended(
        exit_code=_CODES.get(verdict, ExitCode.DONE),
        sentence=f"Revision {entry['to']} (MLflow {entry['toVersion']}) serves{held}; {how}.{lost}",
        serving=target.serving(),
        table=entry["table"],
    )


def _is_at(target: RollbackTarget, heads: dict[str, str | None] | None) -> bool:
    """Tell whether the databases are at these heads; the auth database counts where both have a head for it."""
    live = target.heads()
    if live is None or heads is None or live.tracking != heads["tracking"]:
        return False
    return live.auth is None or heads["auth"] is None or live.auth == heads["auth"]


_CODES = {
    Result.FAIL.value: ExitCode.VERIFICATION_FAILED,
    Result.INCONCLUSIVE.value: ExitCode.INCONCLUSIVE,
}
_ACTIONS: Mapping[Step, Callable[[RollbackTarget, dict[str, Any]], None]] = {
    Step.STOP: _stop,
    Step.RESTORE: _restore,
    Step.ACTIVATE: _activate,
    Step.WAIT: _wait,
    Step.VERIFY: _verify,
    Step.RECORD: _record,
}
_WORDS = {
    Step.STOP: "stopping the server",
    Step.RESTORE: "restoring the dump {dump}",
    Step.ACTIVATE: "switching to revision {to} (MLflow {toVersion})",
    Step.WAIT: "waiting until it serves",
    Step.VERIFY: "verifying it",
    Step.RECORD: "recording it in the ledger",
}
