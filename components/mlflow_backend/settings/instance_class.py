"""The connections that an RDS instance class has memory for. Pure."""

from __future__ import annotations

from typing import Final

# RDS's own default is memory / 9531392 bytes; more connections than that and backends start to be killed.
_BYTES_A_CONNECTION: Final = 9_531_392
_BURSTABLE_GIB: Final = {"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16, "2xlarge": 32}
_GIB_OF_LARGE: Final = {"m": 8, "r": 16, "x": 32}


def memory_gib(instance_class: str) -> int | None:
    """Return the memory of an RDS instance class in GiB; None for a class that follows no known pattern."""
    _, family, size = instance_class.split(".")
    if family.startswith("t"):
        return _BURSTABLE_GIB.get(size)
    large = _GIB_OF_LARGE.get(family[0])
    factor = _factor(size)
    return None if large is None or factor is None else large * factor


def most_connections(instance_class: str) -> int | None:
    """Return how many connections an RDS instance class has memory for; None if that is not known."""
    gib = memory_gib(instance_class)
    return None if gib is None else gib * 1024**3 // _BYTES_A_CONNECTION


def _factor(size: str) -> int | None:
    if size == "large":
        return 1
    number = size.removesuffix("xlarge")
    if number == size or not (number.isdigit() or not number):
        return None
    return 2 * int(number or 1)
