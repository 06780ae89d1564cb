"""What the installed SDK of a provider says of its resources and functions: every property's name and type.

Nothing here is typed by hand: a token's class is the one that the SDK registers for it, its inputs are that class's
arguments, its outputs that class's properties. It knows no cloud; the SDK's package is its argument.
"""

from __future__ import annotations

import collections.abc
import difflib
import functools
import importlib
import inspect
import json
import threading
import typing
import warnings
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pulumi import _types
from pulumi.runtime import rpc

from tests.rig.standin.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class UnknownToken(Exception):
    """The SDK has no resource or function of this token."""


@dataclass(frozen=True)
class Problem:
    """What is wrong with one property."""

    path: str
    reason: str


@dataclass(frozen=True)
class Kind:
    """A type of value: 'string', 'number', 'boolean', 'any', a 'list' or 'map' of `item`, or a 'record'."""

    name: str
    item: Kind | None = None
    record: type | None = None

    def fields(self) -> Mapping[str, Field]:
        """Return a record's properties."""
        return _record_fields(self.record) if self.record else {}


@dataclass(frozen=True)
class Field:
    """One property of a record, a resource or a function."""

    kind: Kind
    required: bool


@dataclass(frozen=True, kw_only=True)
class ResourceType:
    """A resource as its SDK declares it; `computed` are the outputs that are always there."""

    token: str
    inputs: Mapping[str, Field]
    outputs: Mapping[str, Field]
    computed: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class FunctionType:
    """A function as its SDK declares it."""

    token: str
    arguments: Mapping[str, Field]
    results: Mapping[str, Field]


class Sdk:
    """The SDK in one package, such as 'pulumi_aws'."""

    def __init__(self, package: str) -> None:
        """Import the SDK; its parts are imported when they are asked for."""
        # The SDK's modules are imported when they are first asked for, and not safely by two threads at once.
        self._lock = threading.RLock()
        self._package = importlib.import_module(package)
        described = Path(str(self._package.__file__)).with_name("pulumi-plugin.json")
        self.version = str(json.loads(described.read_text(encoding="utf-8"))["version"])
        self.name = str(json.loads(described.read_text(encoding="utf-8"))["name"])

    @functools.cache  # noqa: B019 - one SDK lives as long as its process
    def resource(self, token: str) -> ResourceType:
        """Return a resource's declaration. Raises UnknownToken."""
        with self._lock:
            return self._resource(token)

    def _resource(self, token: str) -> ResourceType:
        made = self._class(token)
        home = importlib.import_module(made.__module__)
        # A resource whose own word is a record's too has its arguments under the longer name.
        arguments = getattr(home, f"{made.__name__}InitArgs", None) or getattr(home, f"{made.__name__}Args")
        types = _resource_types(made)
        return ResourceType(
            token=token,
            inputs=_record_fields(arguments),
            outputs={name: Field(_kind(kind), required=not optional) for name, (kind, optional) in types.items()},
            computed=frozenset(name for name, (_, optional) in types.items() if not optional),
        )

    @functools.cache  # noqa: B019 - as above
    def function(self, token: str) -> FunctionType:
        """Return a function's declaration. Raises UnknownToken."""
        with self._lock:
            return self._function(token)

    def _function(self, token: str) -> FunctionType:
        package, place, name = token.split(":")
        module = place.partition("/")[0]
        snake = _snake(name)
        home = self._package if module == "index" else getattr(self._package, module, None)
        function = getattr(home, snake, None)
        if package != self.name or function is None:
            raise UnknownToken(f"{self._package.__name__} {self.version} has no function {token}")
        result = getattr(importlib.import_module(function.__module__), f"{name[0].upper()}{name[1:]}Result")
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters
        return FunctionType(
            token=token,
            arguments={
                _camel(each): Field(_kind(hints[each]), required=parameter.default is inspect.Parameter.empty)
                for each, parameter in parameters.items()
                if each != "opts"
            },
            results={
                name: Field(_kind(kind), required=True) for name, kind in _types.output_type_types(result).items()
            },
        )

    @functools.cached_property
    def settings(self) -> Mapping[str, Field]:
        """The provider's own properties."""
        return _record_fields(self._package.ProviderArgs)

    def _class(self, token: str) -> type:
        package, _, rest = token.partition(":")
        module = rest.partition(":")[0]
        registered: Sequence[Any] = rpc._RESOURCE_MODULES.get(f"{package}:{module}", [])
        for described in (each.mod_info for each in registered):
            if token in described["classes"]:
                with warnings.catch_warnings():
                    # The SDK warns about its own retired classes while it is imported.
                    warnings.simplefilter("ignore", DeprecationWarning)
                    found = getattr(importlib.import_module(described["fqn"]), described["classes"][token])
                return typing.cast("type", found)
        raise UnknownToken(f"{self._package.__name__} {self.version} has no resource type {token}")


def problems(fields: Mapping[str, Field], values: Mapping[str, Any], path: str = "") -> list[Problem]:
    """Return what is wrong with `values`: unknown names, wrong types, missing properties. An unknown value is right."""
    found = []
    for name, value in values.items():
        where = f"{path}{name}"
        if name not in fields:
            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            found.append(Problem(where, f"there is no such property in the SDK{hint}"))
        else:
            found += _problems(fields[name].kind, value, where)
    for name, field in fields.items():
        if field.required and values.get(name) is None:
            found.append(Problem(f"{path}{name}", "it is required and missing"))
    return found


def _problems(kind: Kind, value: Any, path: str) -> list[Problem]:
    if value is UNKNOWN or value is None or kind.name == "any":
        return []
    right = isinstance(value, _PYTHON[kind.name])
    if not right or (kind.name != "boolean" and isinstance(value, bool)):
        # The value itself is left out: it may be a secret.
        return [Problem(path, f"it must be a {kind.name}, not a {_name_of(value)}")]
    if kind.name == "record":
        return problems(kind.fields(), value, f"{path}.")
    if kind.name == "list" and kind.item is not None:
        return [each for at, item in enumerate(value) for each in _problems(kind.item, item, f"{path}[{at}]")]
    if kind.name == "map" and kind.item is not None:
        return [each for key, item in value.items() for each in _problems(kind.item, item, f"{path}.{key}")]
    return []


_PYTHON: typing.Final[Mapping[str, type | tuple[type, ...]]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "list": list,
    "map": dict,
    "record": dict,
}
_SCALARS: typing.Final = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _name_of(value: Any) -> str:
    names = {bool: "boolean", str: "string", int: "integer", float: "number", list: "list", dict: "record"}
    return names.get(type(value), type(value).__name__)


@functools.cache
def _record_fields(record: type) -> Mapping[str, Field]:
    """Return the properties of an argument class (required: no default in its constructor) or of an output class."""
    if _types.is_input_type(record):
        names = _types.input_type_py_to_pulumi_names(record)
        parameters = inspect.signature(record.__init__).parameters  # type: ignore[misc]
        return {
            names[python]: Field(
                _kind(kind),
                required=python in parameters and parameters[python].default is inspect.Parameter.empty,
            )
            for python, kind in _by_python_name(record, names).items()
        }
    return {name: Field(_kind(kind), required=False) for name, kind in _types.output_type_types(record).items()}


def _by_python_name(record: type, names: Mapping[str, str]) -> dict[str, Any]:
    types = _types.input_type_types(record)
    return {python: types[pulumi] for python, pulumi in names.items()}


def _resource_types(made: type) -> dict[str, tuple[Any, bool]]:
    """Return each output's type and whether it may be missing."""
    types = _types.resource_types(made)
    names = _types.resource_pulumi_to_py_names(made)
    found = {}
    for name, kind in types.items():
        annotation = getattr(made, names[name]).fget.__annotations__["return"]
        (inner,) = typing.get_args(annotation)
        found[name] = (kind, type(None) in typing.get_args(inner))
    return found


def _kind(annotation: Any) -> Kind:
    """Return the kind of an SDK annotation."""
    plain = _plain(annotation)
    origin, inner = typing.get_origin(plain), typing.get_args(plain)
    if plain in _SCALARS:
        return Kind(_SCALARS[plain])
    if plain is Any:
        return Kind("any")
    if origin is not None and isinstance(origin, type):
        if issubclass(origin, collections.abc.Mapping):
            return Kind("map", item=_kind(inner[1]))
        if issubclass(origin, collections.abc.Sequence):
            return Kind("list", item=_kind(inner[0]))
    if isinstance(plain, type):
        if issubclass(plain, Enum):
            return Kind("string")
        return Kind("record", record=plain)
    raise TypeError(f"the SDK has a type that the stand-in does not read: {plain!r}")


def _plain(annotation: Any) -> Any:
    """Take optional, awaitable and output off, and of the spellings of one record the first."""
    try:
        plain = _types.unwrap_type(annotation)
    except (ValueError, AssertionError):
        plain = annotation
    while typing.get_origin(plain) is typing.Union:
        choices = [each for each in typing.get_args(plain) if each is not type(None)]
        enums = [each for each in choices if isinstance(each, type) and issubclass(each, Enum)]
        if enums:
            return enums[0]
        plain = choices[0]
    return plain


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
