"""Rows of long matrices: those that `make test` shows, and those that only `make test-full` runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _pytest.mark import ParameterSet

Row = TypeVar("Row")


def rows(every: Iterable[Row], *, shown: Iterable[Row]) -> list[Row | ParameterSet]:
    """Return every row, with the marker `full` on those that are not among the shown ones.

    Raises ValueError if a shown row is none of them: a matrix whose representative is gone would show nothing.
    """
    all_rows, representatives = list(every), list(shown)
    if not representatives or any(row not in all_rows for row in representatives):
        raise ValueError(f"{representatives} are not all among {all_rows}")
    return [row if row in representatives else pytest.param(row, marks=pytest.mark.full) for row in all_rows]
