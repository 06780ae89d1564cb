"""What the engine asks of a provider, as a stand-in takes it: its settings decoded, a resource's inputs known. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.base import Refused
from tests.rig.standin.values import is_known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.base import Resource
    from tests.rig.standin.sdk import Field

# What the engine and the SDK add to a provider's settings, and is none of them.
_NO_SETTINGS: Final = frozenset({"version", "__internal", "__pulumi-go-provider-infer"})


def settings(given: Mapping[str, Any], declared: Mapping[str, Field]) -> dict[str, Any]:
    """Return a provider's settings, of which the engine sends all but strings as JSON."""
    found = {}
    for name, value in given.items():
        if name in _NO_SETTINGS:
            continue
        as_json = isinstance(value, str) and name in declared and declared[name].kind.name != "string"
        found[name] = json.loads(value) if as_json else value
    return found


def known(resource: Resource, news: Mapping[str, Any], *, leave_out: str = "") -> dict[str, Any]:
    """Return the inputs of an update, which are all known by then. Raises Refused otherwise."""
    wanted = {name: value for name, value in news.items() if name != leave_out}
    if not is_known(wanted):
        raise Refused(f"{resource.token}: an input is not known in an update")
    return wanted
