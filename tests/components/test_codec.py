"""Dataclasses as JSON documents and back, by the types that they declare."""

from __future__ import annotations

import json
from collections.abc import Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from mlflow_backend.codec import CodecError, from_document, to_document


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A part of a value."""

    name: str
    flag: bool = False


@dataclass(frozen=True, kw_only=True)
class Outer:
    """A value with everything that a document may hold."""

    count: int
    share: float
    at: datetime
    parts: tuple[Inner, ...] = ()
    named: Mapping[str, Inner] = field(default_factory=dict)
    limit: int | None = None


VALUE = Outer(
    count=4,
    share=0.5,
    at=datetime(2026, 11, 28, tzinfo=UTC),
    parts=(Inner(name="a"),),
    named={"b": Inner(name="b", flag=True)},
    limit=7,
)


def test_a_value_comes_back_with_its_types() -> None:
    """Through JSON whose whole numbers are floats, as Pulumi's are."""
    document = json.loads(json.dumps(to_document(VALUE)), parse_int=float)
    assert repr(from_document(Outer, document)) == repr(VALUE)


def test_what_a_document_leaves_out_has_its_default() -> None:
    """An older document is read by newer code."""
    document = to_document(VALUE)
    assert from_document(Outer, {key: document[key] for key in ("count", "share", "at")}).limit is None


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"count": "4"}, "Outer.count is no int"),
        ({"count": 4.5}, "Outer.count is no int"),
        ({"count": True}, "Outer.count is no int"),
        ({"limit": "secret"}, "Outer.limit is no int"),
        ({"parts": [{"name": 1}]}, r"Outer.parts\[0\].name is no str"),
        ({"named": {"b": {}}}, "Outer.named.b.name is missing"),
        ({"other": 1}, "Outer.other is not known"),
    ],
)
def test_what_does_not_describe_a_value_is_refused_by_its_key(change: dict[str, Any], key: str) -> None:
    """The key is named, and no value: it may be a secret."""
    with pytest.raises(CodecError, match=f"^{key}$"):
        from_document(Outer, to_document(VALUE) | change)


@pytest.mark.parametrize("document", [None, [], "text", {"at": "yesterday"}])
def test_another_kind_of_document_is_refused(document: object) -> None:
    """A file that was written over raises nothing but ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - any of them
        from_document(Outer, document)
