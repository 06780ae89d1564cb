"""Pure: what IAM documents decide about one request (IAM User Guide, 'Policy evaluation logic').

Covers what the project's documents use; a condition operator that is not known here is an error, never a guess.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


class Decision(enum.Enum):
    """What one set of documents says."""

    ALLOW = "allow"
    DENY = "explicit deny"
    NONE = "implicit deny"


@dataclass(frozen=True, kw_only=True)
class Request:
    """Who wants to do what with which resource. `principals` are all ARNs and services that the caller is known by."""

    action: str
    resource: str
    principals: frozenset[str] = frozenset()
    context: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Policies:
    """All documents that bear on one request of one account. None stands for a limit that is not set."""

    identity: Sequence[Mapping[str, Any]]
    resource: Sequence[Mapping[str, Any]] = ()
    boundary: Sequence[Mapping[str, Any]] | None = None
    session: Sequence[Mapping[str, Any]] | None = None


def allowed(request: Request, policies: Policies) -> bool:
    """Return whether a request within one account is allowed."""
    identity = decide(request, policies.identity)
    resource = decide(request, policies.resource, named=True)
    limits = [decide(request, each) for each in (policies.boundary, policies.session) if each is not None]
    if Decision.DENY in {identity, resource, *limits}:
        return False
    # A resource's own policy that names the caller needs no grant by identity in the same account.
    if resource is Decision.ALLOW:
        return True
    return identity is Decision.ALLOW and all(each is Decision.ALLOW for each in limits)


def decide(request: Request, documents: Iterable[Mapping[str, Any]], *, named: bool = False) -> Decision:
    """Return what documents say together; `named` documents have principals, of which the caller has to be one."""
    found = Decision.NONE
    for document in documents:
        for statement in _list(document["Statement"]):
            if not _concerns(statement, request, named=named):
                continue
            if statement["Effect"] == "Deny":
                return Decision.DENY
            found = Decision.ALLOW
    return found


def _concerns(statement: Mapping[str, Any], request: Request, *, named: bool) -> bool:
    return (
        (not named or _principal(statement, request.principals))
        and _selected(statement, "Action", lambda each: glob(each, request.action, fold=True))
        and _selected(statement, "Resource", lambda each: glob(each, request.resource))
        and conditions_hold(statement.get("Condition", {}), request.context)
    )


def _selected(statement: Mapping[str, Any], key: str, matches: Callable[[str], bool]) -> bool:
    if key in statement:
        return any(matches(each) for each in _list(statement[key]))
    if f"Not{key}" in statement:
        return not any(matches(each) for each in _list(statement[f"Not{key}"]))
    # A trust policy names no resource: the role itself is it.
    return key == "Resource"


def _principal(statement: Mapping[str, Any], principals: frozenset[str]) -> bool:
    if "NotPrincipal" in statement:
        return not _is_one(statement["NotPrincipal"], principals)
    return _is_one(statement.get("Principal", {}), principals)


def _is_one(named: Any, principals: frozenset[str]) -> bool:
    if named == "*":
        return True
    everyone = [each for kind in ("AWS", "Service", "Federated") for each in _list(named.get(kind, []))]
    return any(each == "*" or each in principals for each in everyone)


def conditions_hold(conditions: Mapping[str, Mapping[str, Any]], context: Mapping[str, str]) -> bool:
    """Return whether every condition of a statement holds. Raises NotImplementedError for an unknown operator."""
    known = {key.lower(): value for key, value in context.items()}
    return all(
        _holds(operator, known.get(key.lower()), [str(each) for each in _list(wanted)])
        for operator, keys in conditions.items()
        for key, wanted in keys.items()
    )


def _holds(operator: str, value: str | None, wanted: Sequence[str]) -> bool:
    base = operator.removesuffix("IfExists")
    if base == "Null":
        return (value is None) == (wanted[0].lower() == "true")
    negative = "Not" in base
    test = _OPERATORS.get(base.replace("Not", "") if negative else base)
    if test is None:
        raise NotImplementedError(f"the condition operator {operator} is not known to the rig")
    if value is None:
        return negative or operator != base
    return any(test(each, value) for each in wanted) != negative


def glob(pattern: str, text: str, *, fold: bool = False) -> bool:
    """Return whether a text is what a pattern with * and ? means."""
    return _compiled(pattern, fold).fullmatch(text) is not None


@lru_cache(maxsize=4096)
def _compiled(pattern: str, fold: bool) -> re.Pattern[str]:  # noqa: FBT001 - a cache's key
    parts = {"*": ".*", "?": "."}
    return re.compile(
        "".join(parts.get(each, re.escape(each)) for each in pattern), re.DOTALL | (re.IGNORECASE if fold else 0)
    )


_OPERATORS: Mapping[str, Callable[[str, str], bool]] = {
    "StringEquals": lambda wanted, value: wanted == value,
    "StringEqualsIgnoreCase": lambda wanted, value: wanted.lower() == value.lower(),
    "StringLike": glob,
    "ArnEquals": glob,
    "ArnLike": glob,
    "Bool": lambda wanted, value: wanted.lower() == value.lower(),
}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
