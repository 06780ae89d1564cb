"""Names within each service's limits, and tags or labels from one mapping. Pure.

It does not decide what a resource is called: the target that owns the resource does, and bounds it here.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_HASH_LENGTH = 8
# The strictest of the services in use: an AWS load balancer's name has letters, digits and inner hyphens only.
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
# Google Cloud: labels have lower-case letters, digits, underscores and hyphens, at most 63 of them.
_NOT_IN_LABELS = re.compile(r"[^a-z0-9_-]")
_LONGEST_LABEL = 63


def truncated_name(*parts: str, limit: int) -> str:
    """Return `parts` joined by hyphens, in lower case, within `limit` characters.

    A name that had to be changed or cut ends in a hash of the whole, so that two names never become one. Raises
    ValueError when `limit` leaves no room for a letter before the hash, or the parts hold no letter or digit.
    """
    wanted = "-".join(parts)
    plain = _NOT_IN_NAMES.sub("-", wanted.lower()).strip("-")
    if not plain or limit <= _HASH_LENGTH + 1:
        raise ValueError(f"no name of at most {limit} characters can be made of {len(parts)} parts")
    if plain == wanted and len(plain) <= limit:
        return plain
    ending = hashlib.sha256(wanted.encode()).hexdigest()[:_HASH_LENGTH]
    return f"{plain[: limit - _HASH_LENGTH - 1].rstrip('-')}-{ending}"


def tags(*, project: str, stack: str, own: Mapping[str, str]) -> dict[str, str]:
    """Return the tags that every resource gets; the project's own three cannot be overridden by `own`."""
    return {**own, "project": project, "stack": stack, "managed-by": "pulumi"}


def labels(given: Mapping[str, str]) -> dict[str, str]:
    """Return `given` tags as Google Cloud labels: lower case, other characters as underscores, at most 63 of them."""
    return {_label(key): _label(value) for key, value in given.items()}


def _label(text: str) -> str:
    return _NOT_IN_LABELS.sub("_", text.lower())[:_LONGEST_LABEL]
