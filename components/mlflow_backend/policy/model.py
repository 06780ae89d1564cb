"""A policy and its input: resources as plain values, with what is not known yet marked. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Level = Literal["mandatory", "advisory", "disabled"]


class _Unknown:
    """A value that a preview does not know yet."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()


class NotKnown(Exception):
    """A rule needs a property that is not known yet: what it has not found so far is no pass."""

    def __init__(self, path: str) -> None:
        """Name the property."""
        super().__init__(path)
        self.path = path


@dataclass(frozen=True, kw_only=True)
class Resource:
    """One resource as its provider has checked it.

    `needs` says by property which resources, by URN, its value is made of: known even if the value is not.
    `default_tags` are its provider's, which every resource that can have tags gets.
    """

    type: str
    name: str
    urn: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict, repr=False)
    protect: bool = False
    default_tags: Mapping[str, str] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        """Return an input. Raises NotKnown if it, or a part of it, is not known yet."""
        found = self.inputs.get(key, default)
        if not known(found):
            raise NotKnown(key)
        return default if found is None else found

    def given(self, key: str) -> Any:
        """Return an input as the program gives it, known or not; None if the provider draws it by itself.

        A whole stack is evaluated by what its providers answer, which is not known either: but it is made of nothing.
        """
        found = self.inputs.get(key)
        return None if found is UNKNOWN and not self.needs.get(key) else found

    def document(self, key: str) -> Any:
        """Return an input that is JSON, as text or as a value. Raises NotKnown, and ValueError for what is no JSON."""
        found = self.get(key)
        return json.loads(found) if isinstance(found, str) else found

    def needed(self, *keys: str) -> frozenset[str]:
        """Return the URNs that the values of `keys` are made of."""
        return frozenset().union(*(self.needs.get(key, frozenset()) for key in keys))


@dataclass(frozen=True, kw_only=True)
class Violation:
    """What is wrong with which resource; `message` is a sentence without any value that could be a secret."""

    urn: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One policy: what it asks for, why, and how a violation is fixed.

    `types` are the resources that it is about; if a stack has none of them it does not apply. A rule takes one
    resource by itself (`evaluate`) or all of them together (`evaluate_stack`). Neither may stop at the first violation.
    """

    name: str
    what: str
    why: str
    remediation: str
    types: frozenset[str]
    level: Level = "mandatory"
    evaluate: Callable[[Resource], Iterable[str]] | None = None
    evaluate_stack: Callable[[Sequence[Resource]], Iterator[Violation]] | None = None


def policy(
    name: str, *, about: Iterable[str], why: str, remediation: str
) -> Callable[[Callable[[Resource], Iterable[str]]], Policy]:
    """Make a policy of the rule below it, which takes one resource by itself; its docstring is what it asks for."""
    types = frozenset(about)
    return lambda rule: Policy(
        name=name, what=_asked(rule), why=why, remediation=remediation, types=types, evaluate=rule
    )


def stack_policy(
    name: str, *, about: Iterable[str], why: str, remediation: str
) -> Callable[[Callable[[Sequence[Resource]], Iterator[Violation]]], Policy]:
    """Make a policy of a rule that takes all resources together, otherwise as `policy`."""
    types = frozenset(about)
    return lambda rule: Policy(
        name=name, what=_asked(rule), why=why, remediation=remediation, types=types, evaluate_stack=rule
    )


def known(value: Any) -> bool:
    """Return whether a value, and every part of it, is known."""
    if isinstance(value, Mapping):
        return all(known(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(known(item) for item in value)
    return value is not UNKNOWN


def _asked(rule: Callable[..., Any]) -> str:
    return " ".join((rule.__doc__ or "").split())


def of_type(resources: Iterable[Resource], *types: str) -> list[Resource]:
    """Return the resources of some types."""
    return [each for each in resources if each.type in types]


class Gathered:
    """Goes through resources one by one: what is not known of one must not hide what is wrong with the next."""

    def __init__(self) -> None:
        """Start with nothing unknown."""
        self._unknown: list[str] = []

    def over(self, resources: Iterable[Resource], rule: Callable[[Resource], Iterable[str]]) -> Iterator[Violation]:
        """Give the violations of each resource, and remember what was not known."""
        for each in resources:
            try:
                for message in rule(each):
                    yield Violation(urn=each.urn, message=message)
            except NotKnown as gap:
                self._unknown.append(f"{each.name}.{gap.path}")

    def close(self) -> None:
        """Raise NotKnown if something was not known."""
        if self._unknown:
            raise NotKnown(", ".join(self._unknown))
