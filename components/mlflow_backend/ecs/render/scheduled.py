"""The tools of a backend's one-shot tasks on ECS, and which of them start on a schedule. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.backups import destination
from mlflow_backend.aws.render.network import tasks_call_balancer
from mlflow_backend.aws.render.scheduler import expression
from mlflow_backend.backup.maintain_job import WAIT_S
from mlflow_backend.backup.tool import Tools
from mlflow_backend.schedules import BACKUP, MAINTENANCE, by_part
from mlflow_backend.server import login

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import S3Root
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.settings import Settings

VERIFY: Final = "verify"
"""The one-shot task that verifies inside the network, for an update and on a schedule."""
ARGUMENTS: Final[Mapping[str, tuple[str, ...]]] = {MAINTENANCE: ("--wait", str(WAIT_S))}
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

    def made(store: S3Root) -> Tools:
        return Tools(settings=settings, stack=naming.stack, store=store, cloud="aws", region=naming.region)

    mode = settings.access.mode
    found: dict[str, Callable[[S3Root, str], Tool]] = {}
    if VERIFY in schedules(settings):
        found[VERIFY] = lambda store, url: made(store).verification(
            url=url, credentials=login.references_inside(mode), access=mode != "none"
        )
    if settings.backup.destination is not None:
        found[BACKUP] = lambda store, _: made(store).backup(destination(settings, naming.stack))
    # Artifacts are removed through the servers, as users do.
    if tasks_call_balancer(settings):
        found[MAINTENANCE] = lambda store, _: made(store).maintenance()
    return found
