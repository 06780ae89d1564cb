"""What the policies came to: the engine's answers, and those of the rules that also run on what is rendered. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.report.events import name_of
from mlflow_backend.report.model import Outcome, PolicyFinding, PolicyResult
from mlflow_backend.report.served import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.report.events import Stream

MANDATORY: Final = "mandatory"
DISABLED: Final = "disabled"

# How pulumi-policy says that a property is not known yet; an engine test holds it to that.
_CANNOT_RUN: Final = "can't run policy"
_STACK: Final = "the stack"


@dataclass(frozen=True, kw_only=True)
class Known:
    """One policy as it is in force for the stack; `mend` is how a violation is mended."""

    name: str
    level: str
    mend: str


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What a policy's pure rule said of one rendered part: an empty `said` is a pass."""

    policy: str
    where: str
    outcome: Outcome
    said: str = ""


def results(stream: Stream, known: Sequence[Known], rendered: Sequence[Rendered]) -> tuple[PolicyResult, ...]:
    """Return what each policy came to, violated ones first. A disabled one is not shown: nobody ran it."""
    order = tuple(Outcome)
    found = [_result(stream, policy, rendered) for policy in known if policy.level != DISABLED]
    return tuple(sorted(found, key=lambda each: (order.index(each.outcome), each.name)))


def _result(stream: Stream, policy: Known, rendered: Sequence[Rendered]) -> PolicyResult:
    findings = tuple(dict.fromkeys((*_said(stream, policy.name), *_of_rendered(policy.name, rendered))))
    passed = sum(policy.name in each.passed for each in stream.judged)
    passed += sum(each.policy == policy.name and each.outcome is Outcome.PASSED for each in rendered)
    return PolicyResult(
        name=policy.name,
        level=policy.level,
        outcome=_outcome({finding.outcome for finding in findings}, passed=passed, ran=bool(stream.judged)),
        mend=policy.mend,
        judged=passed,
        findings=findings,
    )


def _outcome(found: set[Outcome], *, passed: int, ran: bool) -> Outcome:
    if Outcome.VIOLATED in found:
        return Outcome.VIOLATED
    if Outcome.NOT_EVALUATED in found or not (passed or ran):
        return Outcome.NOT_EVALUATED
    return Outcome.PASSED if passed else Outcome.NOT_APPLICABLE


def _said(stream: Stream, policy: str) -> Iterator[PolicyFinding]:
    for said in stream.policies:
        if said.policy != policy:
            continue
        text = plain(said.message)
        unknown = _CANNOT_RUN in text
        yield PolicyFinding(
            where=name_of(said.urn) if said.urn else _STACK,
            outcome=Outcome.NOT_EVALUATED if unknown else Outcome.VIOLATED,
            said=_what_is_unknown(text) if unknown else text.rpartition("\n")[2],
        )


def _what_is_unknown(text: str) -> str:
    """Return `containerDefinitions is not known before the update` of the library's sentence."""
    path = text.rpartition(" value at .")[2].partition(" can't be known")[0]
    return f"{path or 'something'} is not known before the update"


def _of_rendered(policy: str, rendered: Sequence[Rendered]) -> Iterator[PolicyFinding]:
    for each in rendered:
        if each.policy == policy and each.outcome is not Outcome.PASSED:
            yield PolicyFinding(where=each.where, outcome=each.outcome, said=each.said)
