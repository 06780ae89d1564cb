"""The order of an update: a staged release is verified before it is promoted, and discarded unless it passed."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mlflow_backend.releases import update
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report
from mlflow_backend.verify.subjects import Subject


@dataclass
class Staged:
    """A candidate that notes what becomes of it."""

    done: list[str] = field(default_factory=list)
    revision: str = "7"
    subject: Subject = field(default_factory=lambda: Subject(url="http://127.0.0.1:1"))

    def promote(self) -> None:
        """Note it."""
        self.done.append("promoted")

    def discard(self) -> None:
        """Note it."""
        self.done.append("discarded")

    def verified_as(self, verdict: Result | None) -> Report:
        """Note that a verification took place, and return its report."""
        self.done.append("verified")
        return Report(
            url="http://127.0.0.1:1", profile="core", deadline_s=1, started="then", finished="now", verdict=verdict
        )


def test_a_release_that_passes_is_verified_first_and_then_promoted() -> None:
    """Users meet it afterwards only."""
    candidate = Staged()
    report = update.serve(candidate, verify=lambda _: candidate.verified_as(Result.PASS))
    assert candidate.done == ["verified", "promoted"]
    assert report is not None


@pytest.mark.parametrize("verdict", [Result.FAIL, Result.INCONCLUSIVE, None])
def test_whatever_does_not_pass_is_discarded_and_never_promoted(verdict: Result | None) -> None:
    """Inconclusive too: nobody saw it work. The error has the report, from which people are shown the table."""
    candidate = Staged()
    with pytest.raises(update.CandidateFailed, match="Revision 7 does not pass") as failed:
        update.serve(candidate, verify=lambda _: candidate.verified_as(verdict))
    assert candidate.done == ["verified", "discarded"]
    assert failed.value.report.text() in str(failed.value)


@pytest.mark.parametrize("verdict", [Result.INCONCLUSIVE, None])
def test_a_rollback_may_accept_a_verification_that_cannot_tell(verdict: Result | None) -> None:
    """One that did not end could not tell either."""
    candidate = Staged()
    accepted = (Result.PASS, Result.INCONCLUSIVE)
    update.serve(candidate, verify=lambda _: candidate.verified_as(verdict), accepted=accepted)
    assert candidate.done == ["verified", "promoted"]


def test_a_verification_that_breaks_off_discards_the_candidate() -> None:
    """Also one that a person interrupts: what is not known to work is not left running."""
    candidate = Staged()

    def interrupted(_subject: Subject) -> Report:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        update.serve(candidate, verify=interrupted)
    assert candidate.done == ["discarded"]


def test_a_first_deployment_has_no_users_to_protect() -> None:
    """It is promoted at once, and verified through the public URL."""
    candidate = Staged()
    assert update.serve(candidate, verify=None) is None
    assert candidate.done == ["promoted"]
