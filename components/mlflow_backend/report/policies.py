"""The results of the policies: the engine's, and those of the rules that also run on what is rendered. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.report.events import name_of, plain
from mlflow_backend.report.model import Outcome, PolicyFinding, PolicyResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow_backend.report.events import Stream

MANDATORY: Final = "mandatory"
DISABLED: Final = "disabled"

# How pulumi-policy says that a property is not known yet; an engine test holds it to that.
_CANNOT_RUN: Final = "can't run policy"
_STACK: Final = "the stack"


@dataclass(frozen=True, kw_only=True)
class EnforcedPolicy:
    """One policy as it is in force for the stack; `remediation` is how a violation is fixed."""

    name: str
    level: str
    remediation: str


@dataclass(frozen=True, kw_only=True)
class RenderedEvaluation:
    """What a policy's pure rule said of one rendered part: an empty `message` is a pass."""

    policy: str
    where: str
    outcome: Outcome
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class RenderedParts:
    """What a target renders from the settings, before any resource is there.

    `containers` are definitions by task, `documents` IAM documents by what they are for, `inputs` those of resources by
    type.
    """

    inputs: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    containers: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    documents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    image_known: bool = False


def results(
    stream: Stream, known: Sequence[EnforcedPolicy], rendered: Sequence[RenderedEvaluation]
) -> tuple[PolicyResult, ...]:
    """Return what each policy came to, violated ones first. A disabled one is not shown: nobody ran it."""
    order = tuple(Outcome)
    found = [_result(stream, policy, rendered) for policy in known if policy.level != DISABLED]
    return tuple(sorted(found, key=lambda each: (order.index(each.outcome), each.name)))


def _result(stream: Stream, policy: EnforcedPolicy, rendered: Sequence[RenderedEvaluation]) -> PolicyResult:
    findings = tuple(dict.fromkeys((*_said(stream, policy.name), *_of_rendered(policy.name, rendered))))
    passed = sum(policy.name in each.passed for each in stream.evaluations)
    passed += sum(each.policy == policy.name and each.outcome is Outcome.PASSED for each in rendered)
    return PolicyResult(
        name=policy.name,
        level=policy.level,
        outcome=_outcome({finding.outcome for finding in findings}, passed=passed, ran=bool(stream.evaluations)),
        remediation=policy.remediation,
        evaluated=passed,
        findings=findings,
    )


def _outcome(found: set[Outcome], *, passed: int, ran: bool) -> Outcome:
    if Outcome.VIOLATED in found:
        return Outcome.VIOLATED
    if Outcome.NOT_EVALUATED in found or not (passed or ran):
        return Outcome.NOT_EVALUATED
    return Outcome.PASSED if passed else Outcome.NOT_APPLICABLE


def _said(stream: Stream, policy: str) -> Iterator[PolicyFinding]:
    for violation in stream.violations:
        if violation.policy != policy:
            continue
        text = plain(violation.message)
        unknown = _CANNOT_RUN in text
        yield PolicyFinding(
            where=name_of(violation.urn) if violation.urn else _STACK,
            outcome=Outcome.NOT_EVALUATED if unknown else Outcome.VIOLATED,
            message=_what_is_unknown(text) if unknown else text.rpartition("\n")[2],
        )


def _what_is_unknown(text: str) -> str:
    """Return `containerDefinitions is not known before the update` of the library's sentence."""
    path = text.rpartition(" value at .")[2].partition(" can't be known")[0]
    return f"{path or 'something'} is not known before the update"


def _of_rendered(policy: str, rendered: Sequence[RenderedEvaluation]) -> Iterator[PolicyFinding]:
    for each in rendered:
        if each.policy == policy and each.outcome is not Outcome.PASSED:
            yield PolicyFinding(where=each.where, outcome=each.outcome, message=each.message)
