"""Prices: the user's own, from a dated file, times what is billed. Pure but for reading the file.

No price stands in this project. What the file does not name is listed as unpriced, never counted as nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mlflow_backend.contract import UsageError
from mlflow_backend.report.quantities import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mlflow_backend.report.quantities import Billed

# A price older than this is said to be old; providers change them a few times a year.
STALE_DAYS = 180


class PriceFile(BaseModel):
    """What a price file holds. `prices` are by the keys of a report's quantities, per unit and hour or month."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dated: date
    source: Annotated[str, Field(min_length=1, max_length=200)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    hours_per_month: Annotated[float, Field(gt=0, le=744, alias="hoursPerMonth")]
    prices: dict[str, Annotated[float, Field(ge=0)]]


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one quantity costs a month before and after; None where the quantity is not known yet."""

    key: str
    before: float | None
    after: float | None


@dataclass(frozen=True, kw_only=True)
class Costs:
    """A month's costs by the user's price file. Sums hold only what is priced and known; `unpriced` is the rest."""

    file: str
    dated: date
    source: str
    currency: str
    stale: bool
    hours_per_month: float
    before: float
    after: float
    lines: tuple[Line, ...]
    unpriced: tuple[str, ...]


def read(path: Path) -> PriceFile:
    """Return the prices in `path`, YAML or JSON. Raises UsageError."""
    try:
        return PriceFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(
            f"The price file {path} cannot be read ({error.strerror}).",
            code="price-file-unreadable",
            fix="Name another.",
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise UsageError(
            f"The price file {path} is neither YAML nor JSON.", code="price-file-malformed", fix="Correct its syntax."
        ) from None
    except ValidationError as error:
        places = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'it'}: {each['msg']}" for each in error.errors())
        raise UsageError(
            f"The price file {path} is not as it must be: {places}.",
            code="price-file-invalid",
            fix="docs/commands/preview.md shows one.",
        ) from None


def costs(billed: Iterable[Billed], prices: PriceFile, *, file: str, today: date) -> Costs:
    """Return what `billed` costs a month by `prices`."""
    lines, unpriced = [], []
    for each in billed:
        price = prices.prices.get(each.key)
        if price is None:
            unpriced.append(each.key)
            continue
        month = price * (prices.hours_per_month if each.per == HOUR else 1)
        lines.append(Line(key=each.key, before=_times(each.before, month), after=_times(each.after, month)))
    return Costs(
        file=file,
        dated=prices.dated,
        source=prices.source,
        currency=prices.currency,
        stale=(today - prices.dated).days > STALE_DAYS,
        hours_per_month=prices.hours_per_month,
        before=round(sum(line.before or 0 for line in lines), 2),
        after=round(sum(line.after or 0 for line in lines), 2),
        lines=tuple(lines),
        unpriced=(*unpriced, *(line.key for line in lines if line.before is None or line.after is None)),
    )


def _times(amount: float | None, price: float) -> float | None:
    return None if amount is None else round(amount * price, 2)
