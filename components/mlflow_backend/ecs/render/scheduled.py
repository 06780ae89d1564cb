"""The tools of a backend's one-shot tasks on ECS, and which of them start on a schedule. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.network import tasks_call_balancer
from mlflow_backend.aws.render.scheduler import expression
from mlflow_backend.ecs.render import backups, maintenance, verification
from mlflow_backend.ecs.render.tasks import VERIFY
from mlflow_backend.schedules import BACKUP, MAINTENANCE, by_part

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import S3Root
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.settings import Settings

ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {MAINTENANCE: maintenance.ON_SCHEDULE}
"""What a schedule adds to the command of the part that it starts."""


def schedules(settings: Settings) -> dict[str, str]:
    """Return the schedule of cron by the part that it starts."""
    return by_part(settings, verification=VERIFY)


def expressions(settings: Settings) -> dict[str, str]:
    """Return what EventBridge Scheduler takes; what it cannot say is refused before."""
    found = ((part, expression(schedule)) for part, schedule in schedules(settings).items())
    return {part: text for part, text in found if text is not None}


def tools(settings: Settings, naming: Naming) -> dict[str, Callable[[S3Root, str], Tool]]:
    """Return what makes the tool of each part that runs one, of the store and the URL of the balancer."""
    found: dict[str, Callable[[S3Root, str], Tool]] = {}
    if VERIFY in schedules(settings):
        found[VERIFY] = partial(verification.tool, settings, naming)
    if settings.backup.destination is not None:
        found[BACKUP] = lambda store, _: backups.tool(settings, naming, store)
    if tasks_call_balancer(settings):
        found[MAINTENANCE] = lambda store, _: maintenance.tool(settings, naming, store)
    return found
