"""The order in which a release is served, once for every target: stage, verify, promote or discard.

What follows is the same in each update and in each rollback, also in one without a candidate: verification of the whole
through the URL that users call, and the ledger's entry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.contract import VerificationFailed
from mlflow_backend.verify.model import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from mlflow_backend.target import Candidate
    from mlflow_backend.verify.report import Report
    from mlflow_backend.verify.subjects import Subject


class CandidateFailed(VerificationFailed):
    """A staged release did not pass its verification, and no user met it. The text has the table of checks."""

    def __init__(self, revision: str, report: Report, *, now: str = "") -> None:
        """Take the report, and a sentence about what serves now."""
        said = f"Revision {revision} does not pass its verification, so it was ended before any user met it."
        super().__init__(" ".join(filter(None, (said, now))) + f"\n{report.text()}", code="candidate-failed")
        self.revision, self.report = revision, report


def serve(
    candidate: Candidate,
    *,
    verify: Callable[[Subject], Report] | None,
    accepted: Collection[Result] = (Result.PASS,),
) -> Report | None:
    """Let users meet a staged release if it passes its verification; return the report.

    Without `verify` it is promoted at once: a first deployment has no users. A verification that did not end counts as
    inconclusive. Raises CandidateFailed unless the verdict is `accepted`, and what `verify` and the platform raise; the
    candidate is then discarded, and what served serves on.
    """
    try:
        report = None if verify is None else _passed(candidate, verify, accepted)
    except BaseException:
        candidate.discard()
        raise
    candidate.promote()
    return report


def _passed(candidate: Candidate, verify: Callable[[Subject], Report], accepted: Collection[Result]) -> Report:
    report = verify(candidate.subject)
    if (report.verdict or Result.INCONCLUSIVE) not in accepted:
        raise CandidateFailed(candidate.revision, report)
    return report
