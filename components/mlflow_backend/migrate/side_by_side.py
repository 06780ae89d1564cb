"""Measured compatibility of two neighbouring MLflow versions' servers on one database. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """What a rolling update under load showed: `requests` after the migration began, how many `failed`, and why."""

    requests: int
    failed: int
    why: str = ""

    @property
    def works(self) -> bool:
        """Whether nothing failed."""
        return self.failed == 0


MEASURED: Final[Mapping[tuple[str, str], Mixed]] = {
    ("2.9.2", "2.22.5"): Mixed(requests=1146, failed=0),
    ("2.22.5", "3.1.4"): Mixed(requests=1498, failed=0),
    ("3.1.4", "3.4.0"): Mixed(requests=887, failed=0),
    ("3.4.0", "3.10.1"): Mixed(requests=1372, failed=0),
    ("3.10.1", "3.17.2"): Mixed(requests=2025, failed=0),
}
"""Old and new version -> what `python -m scripts.bench side_by_side` showed on 2026-11-29."""
