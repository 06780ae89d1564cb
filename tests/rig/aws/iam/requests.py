"""A request to AWS as plain names and values, whichever of AWS's protocols it came by."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from botocore.parsers import BaseCBORParser

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def values_of(body: bytes) -> dict[str, Any]:
    """Return a body's top members: of JSON and CBOR as they are, of a form by dotted names (`Tags.member.1.Key`)."""
    if not body:
        return {}
    if body[:1] in b"{":
        try:
            return dict(json.loads(body))
        except ValueError:
            return {}
    if body[0] & 0xE0 == 0xA0:
        parser = BaseCBORParser()
        return dict(parser.parse_data_item(parser.get_peekable_stream_from_bytes(body)))
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    except UnicodeDecodeError:
        return {}


def listed(values: Mapping[str, Any], name: str) -> list[str]:
    """Return the texts of a list, or of a single value, of that name."""
    if name in values:
        found = values[name]
        return [str(each) for each in found] if isinstance(found, list) else [str(found)]
    return [str(value) for key, value in values.items() if key.rpartition(".")[0] in {name, f"{name}.member"}]


def tags_of(values: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that a request gives, whatever the service calls them."""
    for key in ("Tags", "tags"):
        found = values.get(key)
        if isinstance(found, dict):
            return {str(name): str(value) for name, value in found.items()}
        if isinstance(found, list):
            return dict(_pair(each) for each in found)
    return dict(_flat(values))


def _pair(tag: Mapping[str, Any]) -> tuple[str, str]:
    known = {key.lower().removeprefix("tag"): str(value) for key, value in tag.items()}
    return known["key"], known.get("value", "")


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if key.endswith(".Key") and "Tag" in key:
            yield str(value), str(values.get(f"{key.removesuffix('Key')}Value", ""))
