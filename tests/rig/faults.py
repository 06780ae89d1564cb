"""The format of fault tables, the same for every platform of the rig.

A row says by which mechanism something is broken and which cause the product has to name for it. Its control is the
same thing without the fault, which has to pass: a diagnosis that is always red proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S = TypeVar("S")


@dataclass(frozen=True, kw_only=True)
class Fault(Generic[S]):
    """One row. `broken` and `control` bring about the state under test and return a handle to it, such as a revision.

    `cause` is a text that has to be among what is said, as the platform or the product words it.
    """

    name: str
    mechanism: str
    cause: str
    broken: Callable[[S], str]
    control: Callable[[S], str]


def table(rows: Sequence[Fault[S]]) -> pytest.MarkDecorator:
    """Return the parametrisation by a table; two rows of one name would hide each other."""
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    return pytest.mark.parametrize("fault", rows, ids=names)
