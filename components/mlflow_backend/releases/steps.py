"""The steps of a rollback: what each does with a target, and what a target has to give for it.

Each may be done again after an interruption. In which order they are taken, and the way back, is `run`'s.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from mlflow_backend.contract import PlatformFailed, VerificationFailed
from mlflow_backend.releases import update
from mlflow_backend.releases.plan import Step
from mlflow_backend.releases.records import Block
from mlflow_backend.releases.verification import identity
from mlflow_backend.verify.model import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.contract import WaitOutcome
    from mlflow_backend.releases.journal import Journal
    from mlflow_backend.releases.ledger import Ledger
    from mlflow_backend.releases.records import Dump, VerifiedRelease
    from mlflow_backend.schema import Heads
    from mlflow_backend.target import Candidate, Platform
    from mlflow_backend.verify.report import Report


class RollbackTarget(Protocol):
    """What a target gives to a rollback. Every method may be repeated after an interruption."""

    platform: Platform
    ledger: Ledger
    rollback: Journal
    migration: Journal

    def heads(self) -> Heads | None:
        """Return the live schema heads, None if they cannot be read."""

    def restore(self, dump: Dump, version: str) -> None:
        """Replace the databases by a dump; on a failure they are as they were."""

    def losses(self, dump: Dump) -> Mapping[str, int]:
        """Count what restoring a dump loses, against the live database."""

    def undo_restore(self) -> None:
        """Put back the databases that the last restore replaced."""

    def verify_apart(self, candidate: Candidate, *, profile: str, deadline_s: float) -> Report:
        """Verify a revision that was staged, at its own address."""

    def wait(self, revision: str) -> WaitOutcome:
        """Wait until a started revision serves, with the platform's own reasons if it does not."""

    def serve(self, revision: str) -> None:
        """Start a revision and wait until it serves."""

    def verify(self, revision: str, *, profile: str, deadline_s: float) -> Report:
        """Verify that the revision serves."""

    def release(self, revision: str, *, verification_id: str, verdict: str) -> VerifiedRelease:
        """Return what the ledger records of a revision that was verified."""


FINDINGS = frozenset({"revision-not-ready", "revision-fails-verification"})
"""Codes of what a step finds of the target revision itself, rather than meets while it is done."""


def words(step: Step, entry: Mapping[str, Any]) -> str:
    """Return what is said before a step is done."""
    return _WORDS[step].format(**entry)


def is_at(target: RollbackTarget, heads: dict[str, str | None] | None) -> bool:
    """Return whether the databases are at these heads; the auth database counts if both have a head for it."""
    live = target.heads()
    if live is None or heads is None or live.tracking != heads["tracking"]:
        return False
    return live.auth is None or heads["auth"] is None or live.auth == heads["auth"]


def _stop(target: RollbackTarget, _entry: dict[str, Any]) -> None:
    target.platform.stop_servers()


def _restore(target: RollbackTarget, entry: dict[str, Any]) -> None:
    """Restore, unless an interrupted run did it already: then the schema is the target's."""
    if is_at(target, entry["toHeads"]):
        return
    dump = next(dump for dump in target.ledger.read().dumps if dump.id == entry["dump"])
    # Counted again: the plan's count was made while clients could still write.
    entry["losses"] = dict(target.losses(dump))
    target.rollback.write(entry)
    target.restore(dump, entry["toVersion"])


def _activate(target: RollbackTarget, entry: dict[str, Any]) -> None:
    """Switch to the revision; if it is to be verified and can be apart, users meet it only if it does not fail there.

    A verification that cannot tell is no reason to stay with what is gone back from.
    """
    candidate = target.platform.stage(entry["to"]) if Step.VERIFY in entry["steps"] else None
    if candidate is not None:
        verify = partial(target.verify_apart, profile=entry["profile"], deadline_s=float(entry["deadline_s"]))
        try:
            update.serve(candidate, verify=lambda _: verify(candidate), accepted=(Result.PASS, Result.INCONCLUSIVE))
        except update.CandidateFailed as failure:
            raise _fails(entry, failure.report) from None
    # Where it serves already too: a run that was killed in the switch may have left the other server running.
    target.platform.start_servers(entry["to"])


def _wait(target: RollbackTarget, entry: dict[str, Any]) -> None:
    outcome = target.wait(entry["to"])
    if not outcome.serving:
        raise PlatformFailed("it did not get ready: " + "\n".join(outcome.reasons), code="revision-not-ready")


def _verify(target: RollbackTarget, entry: dict[str, Any]) -> None:
    report = target.verify(entry["to"], profile=entry["profile"], deadline_s=float(entry["deadline_s"]))
    if report.verdict is Result.FAIL:
        raise _fails(entry, report)
    _note(entry, report)
    if report.verdict is Result.PASS and Step.RECORD in entry["steps"]:
        target.ledger.add_release(
            target.release(entry["to"], verification_id=identity(report), verdict=report.verdict.value)
        )


def _fails(entry: dict[str, Any], report: Report) -> VerificationFailed:
    """Note a red verification of the target, and return what it is raised as."""
    _note(entry, report)
    return VerificationFailed("it fails its verification", code="revision-fails-verification")


def _note(entry: dict[str, Any], report: Report) -> None:
    entry |= {"verdict": (report.verdict or Result.INCONCLUSIVE).value, "table": report.text()}


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
        if contents.state.block_of(failed.settings_hash) is None:
            target.ledger.add_block(block)
        return
    known = (record.body for record in contents.records if isinstance(record.body, dict))
    if not any(body.get("id") == entry["id"] for body in known):
        detail = {
            "id": entry["id"],
            "restored": entry["dump"] or "",
            "verdict": entry["verdict"] or "not verified",
            **{f"lost {name}": str(count) for name, count in entry["losses"].items()},
        }
        target.ledger.add_rollback(
            to=entry["to"], rolled_back_from=entry["from"], reason=entry["reason"], detail=detail
        )


ACTIONS: Mapping[Step, Callable[[RollbackTarget, dict[str, Any]], None]] = {
    Step.STOP: _stop,
    Step.RESTORE: _restore,
    Step.ACTIVATE: _activate,
    Step.WAIT: _wait,
    Step.VERIFY: _verify,
    Step.RECORD: _record,
}
"""What each step does to the rollback that the journal's entry is of.

It raises PlatformFailed, VerificationFailed, and what a target raises.
"""
_WORDS = {
    Step.STOP: "stopping the server",
    Step.RESTORE: "restoring the dump {dump}",
    Step.ACTIVATE: "switching to revision {to} (MLflow {toVersion})",
    Step.WAIT: "waiting until it serves",
    Step.VERIFY: "verifying it",
    Step.RECORD: "recording it in the ledger",
}
