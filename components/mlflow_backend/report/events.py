"""The engine's event stream as values. Pure: it reads lines and decides nothing.

The stream is what `pulumi preview --event-log` writes, one JSON object a line: the same events, by the same names, that
the Automation API hands to its callers (pulumi, sdk/go/common/apitype/events.go). Events of kinds that no report needs
are left out; an older or newer engine's further fields are not looked at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
"""How the engine writes a value that is not known yet, of whatever type (resource.UnknownStringValue)."""

_UNKNOWNS: Final = frozenset({
    UNKNOWN,
    "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
    "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
    "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
    "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    "030794c1-ac77-496b-92df-f27374a8bd58",
    "e48ece36-62e2-4504-bad9-02848725956a",
})  # fmt: skip
_COLOURS: Final = re.compile(r"<\{%[^%]*%\}>|\x1b\[[0-9;]*m")
_NO_CAUSE: Final = (
    "an unhandled error occurred: the program ended with exit code",
    "update failed",
    "preview failed",
    "Resource monitor has terminated",
)
"""How messages begin that the engine adds to a cause, and says alone only if there is none."""


@dataclass(frozen=True, kw_only=True)
class State:
    """A resource before or after a step. Secrets are `[secret]` in both maps."""

    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    outputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    protect: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step that the engine would take. `changed` names properties, `forcing` those that ask for a replacement."""

    op: str
    urn: str
    type: str
    old: State | None
    new: State | None
    changed: tuple[str, ...] = ()
    forcing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The resource's name in the program."""
        return name_of(self.urn)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The inputs after the step; empty for a deletion."""
        return self.new.inputs if self.new else {}


@dataclass(frozen=True, kw_only=True)
class PolicyViolation:
    """What a policy said of a resource; `urn` is empty for the whole stack."""

    policy: str
    level: str
    urn: str
    message: str


@dataclass(frozen=True, kw_only=True)
class PolicyEvaluation:
    """Which policies a resource, or the stack if `urn` is empty, passed and failed."""

    urn: str
    passed: tuple[str, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Diagnostic:
    """One message of the engine, the program or a provider."""

    severity: str
    urn: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Stream:
    """One preview. `ended` is whether the engine wrote its summary, `result` how that ended."""

    steps: tuple[Step, ...] = ()
    drift: tuple[Step, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    violations: tuple[PolicyViolation, ...] = ()
    evaluations: tuple[PolicyEvaluation, ...] = ()
    ended: bool = False
    result: str = ""

    @property
    def errors(self) -> tuple[str, ...]:
        """Why it failed, each message once and plain; that it failed is no cause if anything else is said."""
        found = tuple(dict.fromkeys(plain(each.message) for each in self.diagnostics if each.severity == "error"))
        return tuple(text for text in found if text and not text.startswith(_NO_CAUSE)) or found

    def of_type(self, type_token: str) -> Step | None:
        """Return the step of the only resource of a type that stays; None if the preview has none."""
        return next((step for step in self.steps if step.type == type_token and step.new is not None), None)


def read(lines: Iterable[str]) -> Stream:
    """Return the stream of `lines`. A last line that is cut off, as a killed engine leaves it, is not looked at."""
    events = list(_events(lines))
    # The engine announces a resource when it plans its step, and again with the step's result: the last counts.
    planned = {(s.urn, s.op): s for e in events for s in _steps(e, "resourcePreEvent", "resOutputsEvent")}
    summary = next((event["summaryEvent"] for event in events if "summaryEvent" in event), None)
    steps = tuple(planned.values())
    return Stream(
        steps=tuple(step for step in steps if step.op != "refresh"),
        drift=tuple(step for step in steps if step.op == "refresh" and _drifted(step)),
        diagnostics=tuple(_diagnostic(event["diagnosticEvent"]) for event in events if "diagnosticEvent" in event),
        violations=tuple(_violation(event["policyEvent"]) for event in events if "policyEvent" in event),
        evaluations=tuple(_evaluation(event) for event in events if _ANALYSED & event.keys()),
        ended=summary is not None,
        result=str((summary or {}).get("result", "")),
    )


def known(value: Any) -> bool:
    """Return whether a value is known already; a list or mapping is, if each of its parts is."""
    if isinstance(value, Mapping):
        return all(known(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(known(item) for item in value)
    return not (isinstance(value, str) and value in _UNKNOWNS)


def plain(message: str) -> str:
    """Return an engine's message without colours and outer white space."""
    return _COLOURS.sub("", message).strip()


def name_of(urn: str) -> str:
    """Return the name at a URN's end."""
    return urn.rpartition("::")[2]


def type_of(urn: str) -> str:
    """Return the type of a URN's resource, without its parents'; empty for what is no URN."""
    parts = urn.split("::")
    return parts[2].rpartition("$")[2] if len(parts) > 2 else ""  # noqa: PLR2004 - urn:pulumi:S::PROJECT::TYPE::NAME


_ANALYSED: Final = frozenset({"policyAnalyzeSummaryEvent", "policyAnalyzeStackSummaryEvent"})


def _events(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def _steps(event: Mapping[str, Any], *kinds: str) -> Iterator[Step]:
    for kind in kinds:
        if kind in event:
            document = event[kind]["metadata"]
            yield Step(
                op=document["op"],
                urn=document["urn"],
                type=document["type"],
                old=_state(document.get("old")),
                new=_state(document.get("new")),
                changed=_changed(document),
                forcing=tuple(document.get("keys") or ()),
            )


def _state(document: Mapping[str, Any] | None) -> State | None:
    if document is None:
        return None
    return State(
        inputs=document.get("inputs") or {},
        outputs=document.get("outputs") or {},
        protect=bool(document.get("protect")),
    )


def _changed(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the top-level properties that differ; a path below one may hold a user's own words."""
    paths = [*(document.get("diffs") or ()), *(document.get("detailedDiff") or ())]
    return tuple(dict.fromkeys(path.split(".")[0].split("[")[0] for path in paths if path != "__provider"))


def _drifted(step: Step) -> bool:
    if step.old is None or step.new is None:
        return step.old is not step.new
    return bool(step.changed) or step.old.outputs != step.new.outputs


def _diagnostic(document: Mapping[str, Any]) -> Diagnostic:
    return Diagnostic(
        severity=str(document.get("severity", "")), urn=document.get("urn") or "", message=document.get("message") or ""
    )


def _violation(document: Mapping[str, Any]) -> PolicyViolation:
    return PolicyViolation(
        policy=str(document.get("policyName", "")),
        level=str(document.get("enforcementLevel", "")),
        urn=document.get("resourceUrn") or "",
        message=document.get("message") or "",
    )


def _evaluation(event: Mapping[str, Any]) -> PolicyEvaluation:
    document = next(event[kind] for kind in _ANALYSED if kind in event)
    return PolicyEvaluation(
        urn=document.get("resourceUrn") or "",
        passed=tuple(document.get("passed") or ()),
        failed=tuple(document.get("failed") or ()),
    )
