"""Whether what AWS has is what was asked for: sets have no order, documents no spelling. Pure."""

from __future__ import annotations

import json
from typing import Any

from tests.rig.standin.values import UNKNOWN


def same(wanted: Any, actual: Any, *, unordered: bool = False, document: bool = False, exact: bool = False) -> bool:
    """Compare what was asked for with what there is.

    What AWS adds to a record by itself is no difference, unless it is compared as `exact`.
    """
    if exact:
        return bool((wanted or {}) == (actual or {}))
    if wanted is UNKNOWN or actual is UNKNOWN:
        return False
    if document and isinstance(wanted, str) and isinstance(actual, str):
        return bool(_parsed(wanted) == _parsed(actual))
    if isinstance(wanted, dict) and isinstance(actual, dict):
        return all(same(value, actual.get(key), unordered=unordered) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(actual, list):
        return len(wanted) == len(actual) and (
            _matched(wanted, actual)
            if unordered
            else all(same(one, other) for one, other in zip(wanted, actual, strict=True))
        )
    # An empty list and none are one to AWS, which answers with either.
    return bool(wanted == actual) or (wanted in ([], {}, "") and actual in (None, [], {}, ""))


def _matched(wanted: list[Any], actual: list[Any]) -> bool:
    left = list(actual)
    for item in wanted:
        found = next((each for each in left if same(item, each, unordered=True)), UNKNOWN)
        if found is UNKNOWN:
            return False
        left.remove(found)
    return True


def _parsed(text: str) -> Any:
    """Return a JSON document so that what ECS or IAM adds, orders or spells otherwise compares equal."""
    try:
        return _settled(json.loads(text))
    except ValueError:
        return text


def _settled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items() if item not in ([], {}, None)}
    if isinstance(value, list):
        # IAM takes one value as it is or in a list.
        items = [_settled(item) for item in value]
        return items[0] if len(items) == 1 and isinstance(items[0], str) else items
    return value
