"""The schedule of each work that a CronJob does. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.kubernetes.naming import VERIFICATION
from mlflow_backend.schedules import by_part

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings


def scheduled(settings: Settings) -> dict[str, str]:
    """Return the schedule of each work; the part that does it has the work's name."""
    return by_part(settings, verification=VERIFICATION)
