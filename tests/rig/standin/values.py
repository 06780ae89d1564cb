"""Property values as the engine sends them, and as plain Python. Knows no cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf import struct_pb2
from pulumi.runtime import rpc

if TYPE_CHECKING:
    from collections.abc import Mapping


class UnknownType:
    """The type of `UNKNOWN`, a value that only an update finds out."""

    def __repr__(self) -> str:
        """Return what messages call it."""
        return "(known after the update)"

    def __deepcopy__(self, _memo: object) -> UnknownType:
        """There is one only."""
        return self


UNKNOWN: Final = UnknownType()


class Unsupported(Exception):
    """A value of a kind that no stand-in takes (an asset, an archive)."""


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """Return properties as plain Python; secrets are unwrapped, whole numbers are integers, nulls are left out."""
    found = {key: _from_value(value) for key, value in struct.fields.items()}
    return {key: value for key, value in found.items() if value is not None}


def to_struct(properties: Mapping[str, Any]) -> struct_pb2.Struct:
    """Return properties as the engine takes them."""
    struct = struct_pb2.Struct()
    struct.update({key: _to_plain(value) for key, value in properties.items() if value is not None})
    return struct


def is_known(value: Any) -> bool:
    """Return whether there is no unknown in a value, however deep."""
    if isinstance(value, dict):
        return all(is_known(item) for item in value.values())
    if isinstance(value, list):
        return all(is_known(item) for item in value)
    return value is not UNKNOWN


def _from_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        if rpc._special_sig_key in fields:
            return _from_special(value.struct_value)
        return from_struct(value.struct_value)
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "string_value":
        return UNKNOWN if value.string_value == rpc.UNKNOWN else value.string_value
    return value.bool_value if kind == "bool_value" else None


def _from_special(struct: struct_pb2.Struct) -> Any:
    if struct.fields[rpc._special_sig_key].string_value != rpc._special_secret_sig:
        raise Unsupported("assets, archives and references to resources are not translated by the stand-in")
    return _from_value(struct.fields["value"])


def _to_plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _to_plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_to_plain(item) for item in value]
    return rpc.UNKNOWN if value is UNKNOWN else value
