"""From the SDK's properties to the members of a request, and back from an answer's: by botocore's own models.

A property's member is the one of the same word (`kmsMasterKeyId` is `KMSMasterKeyID`); where the words differ, the
resource says so. A property that no member of the request takes is refused, never dropped.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final

import jmespath

from tests.rig.standin.base import Refused
from tests.rig.standin.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import Shape

    from tests.rig.standin.sdk import Field, Kind


_BUILDS: Final = {"record": dict, "map": dict, "list": list}


def to_request(
    shape: Shape, properties: Mapping[str, Any], *, names: Mapping[str, str], path: str = ""
) -> dict[str, Any]:
    """Return properties as the members of a request's structure. Raises Refused for one that has no member."""
    request: dict[str, Any] = {}
    for name, value in properties.items():
        where = f"{path}.{name}" if path else name
        *outer, member = names.get(where, name).split(".")
        inner, place = shape, request
        for each in outer:
            place = place.setdefault(_member(inner, each, where), {})
            inner = inner.members[_member(inner, each, where)]  # type: ignore[attr-defined]
        found = _member(inner, member, where)
        place[found] = _request_value(inner.members[found], value, names, where)  # type: ignore[attr-defined]
    return request


def _request_value(shape: Shape, value: Any, names: Mapping[str, str], path: str) -> Any:
    if value is UNKNOWN:
        raise Refused(f"{path}: it is not known, and an update needs it")
    kind = shape.type_name
    if kind == "structure" and isinstance(value, dict):
        return to_request(shape, value, names=names, path=path)
    if kind == "list" and isinstance(value, list):
        return [_request_value(shape.member, item, names, path) for item in value]  # type: ignore[attr-defined]
    if kind == "map" and isinstance(value, dict):
        return {key: _request_value(shape.value, item, names, path) for key, item in value.items()}  # type: ignore[attr-defined]
    if kind in {"integer", "long"} and isinstance(value, str) and value.isdecimal():
        # The SDK spells some of the API's numbers as strings.
        return int(value)
    if kind == "string" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value


def _member(shape: Shape, name: str, path: str) -> str:
    found = _members(shape).get(_word(name)) if shape.type_name == "structure" else None
    if found is None:
        raise Refused(f"{path}: the stand-in knows no member of {shape.name} for it")
    return found


@functools.cache
def _members(shape: Shape) -> Mapping[str, str]:
    return {_word(member): member for member in shape.members}  # type: ignore[attr-defined]


def from_answer(fields: Mapping[str, Field], answer: Mapping[str, Any], *, names: Mapping[str, str]) -> dict[str, Any]:
    """Return the properties that an answer has a member for, each in the SDK's type."""
    return _properties(fields, answer, names, "")


def _properties(
    fields: Mapping[str, Field], answer: Mapping[str, Any], names: Mapping[str, str], path: str
) -> dict[str, Any]:
    members = {_word(member): value for member, value in answer.items()}
    found = {}
    for name, field in fields.items():
        where = f"{path}.{name}" if path else name
        member = names.get(where, name)
        value = jmespath.search(member, answer) if "." in member else members.get(_word(member))
        value = None if value is None else to_kind(field.kind, value, names=names, path=where)
        if value is not None:
            found[name] = value
    return found


def to_kind(kind: Kind, value: Any, *, names: Mapping[str, str], path: str = "") -> Any:
    """Return an answer's value in the SDK's type; None if it is of another build, though of the same word."""
    if kind.name in _BUILDS and not isinstance(value, _BUILDS[kind.name]):
        return None
    if kind.name == "record" and isinstance(value, dict):
        return _properties(kind.fields(), value, names, path)
    if kind.name == "list" and kind.item is not None and isinstance(value, list):
        return [to_kind(kind.item, item, names=names, path=path) for item in value]
    if kind.name == "map" and kind.item is not None and isinstance(value, dict):
        return {key: to_kind(kind.item, item, names=names, path=path) for key, item in value.items()}
    return _scalar(kind, value)


def _scalar(kind: Kind, value: Any) -> Any:
    if kind.name == "string" and isinstance(value, dict):
        # IAM's documents, which boto3 has parsed already.
        return json.dumps(value)
    if kind.name == "string" and not isinstance(value, str):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if kind.name in {"integer", "number"} and isinstance(value, str | float):
        number = float(value)
        return int(number) if number.is_integer() else number
    if kind.name == "boolean" and isinstance(value, str):
        return value.lower() in {"true", "enabled"}
    return value


def _word(name: str) -> str:
    return name.replace("_", "").lower()
