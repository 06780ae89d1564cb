"""The schedule of each work that a CronJob does. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.kubernetes.naming import BACKUP, MAINTENANCE, VERIFICATION
from mlflow_backend.schedules import NEVER

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings


def scheduled(settings: Settings) -> dict[str, str]:
    """Return the schedule of each work; the part that does it has the work's name."""
    wanted = {
        BACKUP: NEVER if settings.backup.destination is None else settings.backup.schedule,
        MAINTENANCE: settings.maintain.schedule,
        VERIFICATION: settings.verify.schedule or NEVER,
    }
    return {work: schedule for work, schedule in wanted.items() if schedule != NEVER}
