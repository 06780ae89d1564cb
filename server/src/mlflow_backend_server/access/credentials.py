"""User and password of a request's headers, as HTTP's basic authentication has them (RFC 7617). Pure."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Of the encoded pair. Names have at most 255 characters in MLflow's table; nothing longer is decoded or hashed.
_LONGEST = 4096
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE | re.ASCII)
#: Where MLflow's gateway looks first: a coding agent's key for the model provider is in `Authorization` there.
_GATEWAY, _GATEWAY_HEADER = "/gateway/", "x-mlflow-authorization"


@dataclass(frozen=True, kw_only=True)
class Login:
    """Who a caller says to be, and the password for it."""

    name: str
    password: str = field(repr=False)


def presented(headers: Mapping[str, str], path: str) -> Login | None:
    """Return the login in a request's headers (names in lower case), None for every form that is none.

    A header that came several times is joined by commas, which no login has: MLflow's two stacks would each take
    another one.
    """
    header = headers.get(_GATEWAY_HEADER, "") if path.startswith(_GATEWAY) else ""
    return parse(header or headers.get("authorization", ""))


def parse(header: str) -> Login | None:
    """Return the login that one header holds: base64 of UTF-8 without control characters, with a colon in it."""
    if len(header) > _LONGEST:
        return None
    found = _BASIC.fullmatch(header.strip(" \t"))
    if found is None:
        return None
    try:
        text = base64.b64decode(found[1], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    name, colon, password = text.partition(":")
    if not colon or not name or not text.isprintable():
        return None
    return Login(name=name, password=password)
