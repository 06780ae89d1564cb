"""Which one-shot task of a backend on ECS starts on a schedule. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.aws.render.scheduler import expression
from mlflow_backend.ecs.render.backups import BACKUP
from mlflow_backend.ecs.render.tasks import VERIFY
from mlflow_backend.schedules import NEVER

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings


def schedules(settings: Settings) -> dict[str, str]:
    """Return the schedule of cron by the part that it starts."""
    wanted = {
        BACKUP: NEVER if settings.backup.destination is None else settings.backup.schedule,
        VERIFY: settings.verify.schedule or NEVER,
    }
    return {part: schedule for part, schedule in wanted.items() if schedule != NEVER}


def expressions(settings: Settings) -> dict[str, str]:
    """Return what EventBridge Scheduler takes; what it cannot say is refused before."""
    found = ((part, expression(schedule)) for part, schedule in schedules(settings).items())
    return {part: text for part, text in found if text is not None}
