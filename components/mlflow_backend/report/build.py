"""The report made of the engine's stream: changes that matter, their costs, and how the preview ended. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import tokens
from mlflow_backend.report import served
from mlflow_backend.report.events import plain, type_of
from mlflow_backend.report.model import Change, Drift, Migration, Operation, Outcome, Report, Verdict
from mlflow_backend.report.policies import MANDATORY, results
from mlflow_backend.report.quantities import billed, by_use
from mlflow_backend.report.stateful import STATEFUL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.ending import Ending
    from mlflow_backend.report.events import Step, Stream
    from mlflow_backend.report.policies import EnforcedPolicy, RenderedEvaluation
    from mlflow_backend.report.quantities import Billing, Rendered

_OPERATIONS: Final[Mapping[str, Operation]] = {
    "create": Operation.CREATE,
    "update": Operation.UPDATE,
    "delete": Operation.DELETE,
    "replace": Operation.REPLACE,
    "import": Operation.IMPORT,
    "import-replacement": Operation.IMPORT,
    "discard": Operation.FORGET,
}
_ORDER: Final = tuple(Operation)
# The stack itself and the providers of a plan are nothing that exists anywhere.
_NOWHERE: Final = ("pulumi:pulumi:", "pulumi:providers:")
_CHECKED: Final = frozenset({tokens.PREFLIGHT, tokens.MIGRATION})
_MOST_WORDS: Final = 2000


@dataclass(frozen=True, kw_only=True)
class PreviewInputs:
    """What a preview was asked for, and what is known besides its stream.

    `created_at` is in UTC. `ending` is the program's own verdict. `billing` says by type what resources are billed for,
    `rendered_inputs` those inputs that the target renders from the settings. `code` is how the engine ended, `printed`
    what it printed.
    """

    stack: str
    created_at: str
    code: int
    refreshed: bool = False
    ending: Ending | None = None
    policies: Sequence[EnforcedPolicy] = ()
    rendered: Sequence[RenderedEvaluation] = ()
    billing: Mapping[str, Billing] = field(default_factory=dict, repr=False)
    rendered_inputs: Rendered = field(default_factory=dict, repr=False)
    pin: str = ""
    printed: str = field(default="", repr=False)


def build(stream: Stream, asked: PreviewInputs) -> Report:
    """Return the report of a preview."""
    changes = _changes(stream.steps)
    policies = results(stream, asked.policies, asked.rendered)
    refusals = _refusals(stream, asked, policies)
    before, after = served.releases(stream)
    migration, pin = served.migration(stream), served.pin(stream) or asked.pin
    return Report(
        stack=asked.stack,
        created_at=asked.created_at,
        verdict=_verdict(stream, asked, changes, refusals),
        counts=_counts(stream.steps),
        changes=changes,
        before=before,
        after=after,
        migration=migration,
        pin=pin,
        preflight=served.preflight(stream),
        policies=policies,
        drift=_drift(stream.drift) if asked.refreshed else None,
        billed=billed(stream.steps, asked.billing, rendered=asked.rendered_inputs),
        by_use=by_use(stream.steps, asked.billing),
        refusals=refusals,
        errors=() if refusals else _errors(stream, asked),
        warnings=(*_warnings(stream, migration, pin), *served.waiting(stream)),
    )


def _verdict(stream: Stream, asked: PreviewInputs, changes: Sequence[Change], refusals: Sequence[str]) -> Verdict:
    if refusals:
        return Verdict.REFUSED
    if asked.code != 0 or not stream.ended:
        return Verdict.FAILED
    return Verdict.CHANGES if changes else Verdict.UNCHANGED


def _changes(steps: Sequence[Step]) -> tuple[Change, ...]:
    """Return what changes, what is lost first; a replacement is one change, though the engine takes three steps."""
    found = [
        _change(step, _OPERATIONS[step.op])
        for step in steps
        if step.op in _OPERATIONS and not step.type.startswith(_NOWHERE)
    ]
    return tuple(sorted(found, key=lambda each: (not each.loses, _ORDER.index(each.operation), each.type, each.name)))


def _change(step: Step, operation: Operation) -> Change:
    goes = operation in {Operation.DELETE, Operation.REPLACE}
    return Change(
        operation=operation,
        urn=step.urn,
        type=step.type,
        name=step.name,
        properties=_properties(step) if operation is not Operation.CREATE else (),
        forcing=step.forcing if operation is Operation.REPLACE else (),
        protected=bool(step.old and step.old.protect) if goes else bool(step.new and step.new.protect),
        loses=STATEFUL.get(step.type, "") if goes else "",
    )


def _properties(step: Step) -> tuple[str, ...]:
    """Return what differs; a dynamic provider does not report it to the engine, so there the inputs are compared."""
    if step.changed or step.old is None or step.new is None:
        return step.changed
    old, new = step.old.inputs, step.new.inputs
    return tuple(sorted(key for key in {*old, *new} if key != "__provider" and old.get(key) != new.get(key)))


def _counts(steps: Sequence[Step]) -> dict[str, int]:
    counted = Counter(
        "unchanged" if step.op == "same" else str(_OPERATIONS[step.op])
        for step in steps
        if (step.op == "same" or step.op in _OPERATIONS) and not step.type.startswith(_NOWHERE)
    )
    return {name: counted[name] for name in (*map(str, _ORDER), "unchanged") if counted[name]}


def _refusals(stream: Stream, asked: PreviewInputs, policies: Sequence[Any]) -> tuple[str, ...]:
    """Return why the update would be refused: by the program, by preflight or the migration's check, by policy."""
    own = (asked.ending.sentence,) if asked.ending else ()
    checks = tuple(
        served.reason(diagnostic.message)
        for diagnostic in stream.diagnostics
        if diagnostic.severity == "error" and type_of(diagnostic.urn) in _CHECKED and served.reason(diagnostic.message)
    )
    broken = tuple(
        f"Policy {result.name}: {finding.where}: {finding.message}"
        for result in policies
        if result.level == MANDATORY
        for finding in result.findings
        if finding.outcome is Outcome.VIOLATED
    )
    return tuple(dict.fromkeys((*own, *checks, *broken)))


def _drift(steps: Sequence[Step]) -> tuple[Drift, ...]:
    return tuple(
        Drift(name=step.name, type=step.type, gone=step.new is None, properties=_differing(step)) for step in steps
    )


def _differing(step: Step) -> tuple[str, ...]:
    if step.old is None or step.new is None:
        return ()
    old, new = step.old.outputs, step.new.outputs
    return tuple(sorted(key for key in {*old, *new} if key != "__provider" and old.get(key) != new.get(key)))


def _errors(stream: Stream, asked: PreviewInputs) -> tuple[str, ...]:
    """Return why the preview failed: an engine that never came to its stream has only printed it."""
    messages = tuple(text[:_MOST_WORDS] for text in stream.errors)
    last = plain(asked.printed)[-_MOST_WORDS:]
    return messages if messages or asked.code == 0 or not last else (last,)


def _warnings(stream: Stream, migration: Migration | None, pin: str) -> tuple[str, ...]:
    """Return the warnings but those that say what stands in the report already: a migration, a pin."""
    planned = (*migration.pending, *migration.upgrade) if migration else ()
    diagnostics = tuple(
        each
        for each in stream.diagnostics
        if not (planned and all(line in each.message for line in planned)) and not (pin and pin in each.message)
    )
    found = (plain(each.message)[:_MOST_WORDS] for each in diagnostics if each.severity == "warning")
    return tuple(dict.fromkeys(text for text in found if text))
