"""Typed values as JSON documents and back: dataclasses, by the types that they declare.

Pydantic reads more, and takes 0.2 s to import: each supervised program of a local stack would wait for it.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Typed = TypeVar("Typed")


class CodecError(ValueError):
    """A document does not describe a value of the type. Names the key, and holds no value."""


def to_document(value: DataclassInstance) -> dict[str, Any]:
    """Return a dataclass as a JSON document; its keys are the names of the fields that are compared."""
    return cast("dict[str, Any]", json.loads(json.dumps(value, default=_written)))


def from_document(kind: type[Typed], document: object) -> Typed:
    """Return the value of a dataclass that a document describes; fields that it leaves out have their defaults.

    A whole number may come as a float, as Pulumi gives it back. Raises CodecError.
    """
    return cast("Typed", _read(kind, document, kind.__name__))


def _written(value: Any) -> object:
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value) if each.compare}
    return dict(value) if isinstance(value, Mapping) else datetime.isoformat(value)


def _read(kind: Any, value: object, key: str) -> object:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in {types.UnionType, typing.Union}:
        (some,) = (each for each in arguments if each is not types.NoneType)
        return None if value is None else _read(some, value, key)
    if origin is tuple and isinstance(value, list | tuple):
        return tuple(_read(arguments[0], each, f"{key}[{index}]") for index, each in enumerate(value))
    if origin is Mapping and isinstance(value, Mapping):
        return {str(name): _read(arguments[1], each, f"{key}.{name}") for name, each in value.items()}
    if is_dataclass(kind) and isinstance(value, Mapping):
        return _dataclass(kind, value, key)
    return _plain(kind, value, key)


def _plain(kind: Any, value: object, key: str) -> object:
    if kind is datetime and isinstance(value, str):
        return datetime.fromisoformat(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind is float and type(value) is int:
        return float(value)
    if isinstance(kind, type) and issubclass(kind, Enum) and value in list(kind):
        return kind(value)
    if type(value) is kind or kind in {object, Any}:
        return value
    raise CodecError(f"{key} is no {getattr(kind, '__name__', kind)}")


@cache
def _declared(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _dataclass(kind: Any, document: Mapping[str, object], key: str) -> object:
    declared = _declared(kind)
    needed = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
    if unknown := document.keys() - declared.keys():
        raise CodecError(f"{key}.{min(unknown)} is not known")
    if missing := needed - document.keys():
        raise CodecError(f"{key}.{min(missing)} is missing")
    return kind(**{name: _read(declared[name], value, f"{key}.{name}") for name, value in document.items()})
