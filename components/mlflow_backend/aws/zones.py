"""The availability zones of a region that a network is made in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ZONES_ASKED: Final[Mapping[str, Sequence[str]]] = {"opt-in-status": ("opt-in-not-required",)}
"""EC2's filters of the zones that are used: local and wavelength zones have neither RDS nor ElastiCache."""


def zone_name(names: Sequence[str], number: int, *, zones: int, region: str) -> str:
    """Return which of a region's zones is used as the one with this number.

    `zones` is how many the settings ask for. Raises Refused if the region has too few.
    """
    if number < len(names):
        return names[number]
    raise Refused(
        f"aws.network.zones is {zones}, and {region} has {len(names)} zones for this account: "
        f"{', '.join(names) or 'none'}.",
        code="zones-too-many",
        fix="Lower aws.network.zones, or choose another aws.region.",
    )
