"""The check that a namespace's quotas and limit ranges can hold a backend, with an update under way. Pure.

The number of pods is not counted, and neither is what others use of a quota: an update that changes no pod must not be
refused for it, and one that does says so in the cluster's own words. Quotas with scopes are left out, because each is
for some pods only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    Container = Mapping[str, Any]

_QUANTITY: Final = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([a-zA-Z]*)")
# Kubernetes, 'Quantity'.
_FACTORS: Final = {
    "": Decimal(1),
    **{suffix: Decimal(1000) ** -power for power, suffix in enumerate("mun", start=1)},
    **{suffix: Decimal(1000) ** power for power, suffix in enumerate("kMGTPE", start=1)},
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", start=1)},
}
_SAME: Final = {"cpu": "requests.cpu", "memory": "requests.memory"}
_SPECIFIED: Final = frozenset({"requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})
_DEFAULTS: Final = {"limits": "default", "requests": "defaultRequest"}


def quantity(text: object) -> Decimal:
    """Return what a quantity of Kubernetes stands for. Raises ValueError for what is none."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None or match[2] not in _FACTORS:
        raise ValueError(f"not a quantity: {text}")
    return Decimal(match[1]) * _FACTORS[match[2]]


def lacking(
    quotas: Sequence[Mapping[str, Any]],
    limit_ranges: Sequence[Mapping[str, Any]],
    containers: Sequence[tuple[int, Container]],
) -> Iterator[str]:
    """Return what does not fit, a clause each; `containers` are those that run at once, with how many of each."""
    bounds = [(each["metadata"]["name"], item) for each in limit_ranges for item in each["spec"]["limits"]]
    for name, item in bounds:
        if item["type"] in {"Container", "Pod"}:
            yield from _out_of_bounds(name, item, containers)
    defaults = {
        f"{kind}.{resource}"
        for _, item in bounds
        if item["type"] == "Container"
        for kind, key in _DEFAULTS.items()
        for resource in item.get(key, {})
    }
    need, unsaid = _need(containers)
    for quota in quotas:
        if quota["spec"].get("scopes") or quota["spec"].get("scopeSelector"):
            continue
        name = quota["metadata"]["name"]
        for key, hard in quota["spec"].get("hard", {}).items():
            meant = _SAME.get(key, key)
            if meant in unsaid - defaults:
                yield f"the quota {name} counts {key}, which not every pod names: a LimitRange has to give a default"
            elif meant in need and need[meant] > quantity(hard):
                yield f"the quota {name} has {hard} of {key}, and {_shown(meant, need[meant])} are needed"


def _need(containers: Sequence[tuple[int, Container]]) -> tuple[dict[str, Decimal], set[str]]:
    """Return the sum of what is named, by a quota's key, and the keys that a container does not name."""
    need, unsaid = defaultdict[str, Decimal](Decimal), set[str]()
    for count, container in containers:
        named = {
            f"{kind}.{resource}": quantity(amount)
            for kind in _DEFAULTS
            for resource, amount in container["resources"].get(kind, {}).items()
        }
        unsaid |= _SPECIFIED - named.keys()
        for key, amount in named.items():
            need[key] += amount * count
    return need, unsaid


def _out_of_bounds(name: str, item: Mapping[str, Any], containers: Sequence[tuple[int, Container]]) -> Iterator[str]:
    for kind, bound, is_out in (("limits", "max", Decimal.__gt__), ("requests", "min", Decimal.__lt__)):
        for resource, at in item.get(bound, {}).items():
            found = [
                quantity(each["resources"][kind][resource])
                for _, each in containers
                if resource in each["resources"].get(kind, {})
            ]
            out = [amount for amount in found if is_out(amount, quantity(at))]
            if out:
                yield (
                    f"the limit range {name} has {at} as {bound} of {resource}, and a pod here {kind} "
                    f"{_shown(resource, out[0])}"
                )


def _shown(key: str, amount: Decimal) -> str:
    """Return an amount as settings have it."""
    return f"{amount / 2**20:.0f}Mi" if key.endswith("memory") else f"{amount.normalize():f}"
