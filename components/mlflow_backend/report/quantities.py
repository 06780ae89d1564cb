"""Quantities that a stack is billed for while it stands, before and after an update. Pure, and without any price.

What resources are billed for (`Billing`) stands beside the functions that render them; a target joins its tables. What
is billed by use (requests, bytes through a NAT gateway, log lines) is not known beforehand: each report names it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.report.events import known

if TYPE_CHECKING:
    from mlflow_backend.report.events import State, Step

HOUR: Final = "hour"
MONTH: Final = "month"

Inputs = Mapping[str, Any]
Rendered = Mapping[str, Inputs]
"""Type of a resource -> inputs as rendered from the settings, for those that a first preview does not know."""


@dataclass(frozen=True)
class Quantity:
    """One quantity of one resource; `amount` is None if it is not known yet. `per` is hour or month."""

    key: str
    what: str
    unit: str
    per: str
    amount: float | None


@dataclass(frozen=True, kw_only=True)
class Billing:
    """What a resource is billed for: `counted` from its inputs, and `by_use`.

    `applies` says by the inputs whether it is billed at all. `runs` is the type, and the end of the name, of another
    resource whose inputs are counted with its own: a service is billed for the task that it runs.
    """

    counted: Callable[[Inputs], Iterator[Quantity]] | None = None
    by_use: tuple[str, ...] = ()
    applies: Callable[[Inputs], bool] = lambda _inputs: True
    runs: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Billed:
    """One quantity before and after the update; None if it is not known yet.

    `key` names it for machines, such as `rds-instance:db.t4g.micro`. `per` is the unit's time, hour or month.
    """

    key: str
    what: str
    unit: str
    per: str
    before: float | None
    after: float | None

    @property
    def changed(self) -> bool:
        """Whether the update changes it, or may."""
        return self.before != self.after


def one(key: str, what: str, unit: str, per: str, amount: int = 1) -> Callable[[Inputs], Iterator[Quantity]]:
    """Return how a resource is counted whose inputs change nothing."""

    def counted(_inputs: Inputs) -> Iterator[Quantity]:
        yield Quantity(key, what, unit, per, amount)

    return counted


def by_use(steps: Iterable[Step], billing: Mapping[str, Billing]) -> tuple[str, ...]:
    """Return what the stack is billed for by use, after or before `steps`, each once."""
    rows = [(billing[step.type], step.inputs) for step in steps if step.type in billing]
    return tuple(sorted({each for row, inputs in rows if row.applies(inputs) for each in row.by_use}))


def billed(
    steps: Iterable[Step], billing: Mapping[str, Billing], *, rendered: Rendered | None = None
) -> tuple[Billed, ...]:
    """Return every billed quantity of the stack before and after `steps`."""
    steps = [step for step in steps if step.op not in {"create-replacement", "delete-replaced"}]
    before = _summed(_quantities(steps, [step.old for step in steps], billing, {}))
    kept = [step.new if step.op != "delete" else None for step in steps]
    after = _summed(_quantities(steps, kept, billing, rendered or {}))
    return tuple(
        Billed(
            key=key,
            what=found.what,
            unit=found.unit,
            per=found.per,
            before=before[key].amount if key in before else 0,
            after=after[key].amount if key in after else 0,
        )
        for key in sorted({*before, *after})
        for found in [after.get(key) or before[key]]
    )


def _quantities(
    steps: list[Step], states: list[State | None], billing: Mapping[str, Billing], rendered: Rendered
) -> Iterator[Quantity]:
    standing = [(step.type, step.name, state.inputs) for step, state in zip(steps, states, strict=True) if state]
    for kind, _, inputs in standing:
        row = billing.get(kind)
        if row is None or row.counted is None or not row.applies(inputs):
            continue
        if row.runs is not None:
            # Which definition a service runs is known by its name: a stream has no dependencies.
            type_, end = row.runs
            run = next((found for token, name, found in standing if token == type_ and name.endswith(end)), {})
            missing = {key: value for key, value in rendered.get(type_, {}).items() if number(run.get(key)) is None}
            inputs = {**run, **missing, **inputs}  # noqa: PLW2901 - with those of what it runs
        yield from row.counted(inputs)


def _summed(quantities: Iterable[Quantity]) -> dict[str, Quantity]:
    parts: defaultdict[str, list[Quantity]] = defaultdict(list)
    for quantity in quantities:
        parts[quantity.key].append(quantity)
    return {
        key: Quantity(key, found[-1].what, found[-1].unit, found[-1].per, _sum(each.amount for each in found))
        for key, found in parts.items()
    }


def _sum(amounts: Iterable[float | None]) -> float | None:
    total = 0.0
    for amount in amounts:
        if amount is None:
            return None
        total += amount
    return total


def number(value: Any) -> float | None:
    """Return an input as a number; None if it is none, or not known yet."""
    if isinstance(value, bool) or value is None or not known(value):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def product(*factors: float | None) -> float | None:
    """Return the product; None if a factor is not known."""
    found = 1.0
    for factor in factors:
        if factor is None:
            return None
        found *= factor
    return round(found, 6)


def length(value: Any) -> int | None:
    """Return how many an input lists; None if it is not known yet."""
    return len(value) if isinstance(value, list | tuple) else None


def text(value: Any) -> str:
    """Return an input as a text that people read."""
    return value if isinstance(value, str) and known(value) else "not known yet"
