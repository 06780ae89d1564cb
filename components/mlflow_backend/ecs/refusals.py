"""Settings that the `ecs` target cannot fulfil, refused before anything is touched. Pure.

What no target on AWS can fulfil is in mlflow_backend/aws/refusals.py. One error lists every finding.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlflow_backend.aws import refusals
from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.render.network import tasks_call_balancer
from mlflow_backend.aws.render.policies import in_ecr
from mlflow_backend.aws.render.scheduler import expression
from mlflow_backend.ecs.render.size import server_size
from mlflow_backend.schedules import NEVER
from mlflow_backend.settings.unfulfillable import of_backups, of_image, refuse_unfulfillable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.settings import Settings


def refuse_unsupported(settings: Settings) -> None:
    """Raise Refused, with every finding, for settings that this target cannot fulfil: none is ignored."""
    refuse_unfulfillable("ecs", (finding for rule in RULES for finding in rule(settings)))


def naming_of(settings: Settings, *, project: str, stack: str, name: str = "mlflow") -> Naming:
    """Return where a stack's backend belongs. Raises Refused for settings that this target cannot fulfil."""
    refuse_unsupported(settings)
    return Naming.of(settings, project=project, stack=stack, name=name)


def registry_login(settings: Settings) -> Iterator[str]:
    """ECR asks the task's role and takes no password."""
    if in_ecr(settings) is not None and settings.aws.registry_secret is not None:
        yield "aws.registrySecret is a login to another registry, and server.image is in ECR, which takes none"


def size(settings: Settings) -> Iterator[str]:
    """Fargate has tasks of that size."""
    try:
        server_size(settings)
    except ValueError as error:
        yield f"server.cpu and server.memory: {error}"


def access(settings: Settings) -> Iterator[str]:
    """The cloud's own identities would be checked by a balancer's rule, which nobody has built."""
    if settings.access.mode == "cloudIdentity":
        yield "access.mode is cloudIdentity, which this target does not have; take basic or token"


def out_of_reach(settings: Settings) -> str:
    """Return why no task can call the balancer, as a clause; '' if one can."""
    if tasks_call_balancer(settings):
        return ""
    return (
        "no task of the stack can call its load balancer: that takes aws.network.internal, or a public one that "
        "anybody may call and a way out that is not endpoints"
    )


def schedules(settings: Settings) -> Iterator[str]:
    """EventBridge Scheduler can say them, and whoever maintains can call the server."""
    found = {"backup": settings.backup.schedule, "verify": settings.verify.schedule or NEVER}
    for setting, schedule in {**found, "maintain": settings.maintain.schedule}.items():
        if schedule != NEVER and expression(schedule) is None:
            yield f"{setting}.schedule names days of month and week, and EventBridge Scheduler takes one of them"
    if settings.maintain.schedule != NEVER and (why := out_of_reach(settings)):
        yield f"maintain.schedule is set, and {why}"


RULES: tuple[Callable[[Settings], Iterator[str]], ...] = (
    *refusals.RULES,
    partial(of_image, takers="tasks"),
    registry_login,
    size,
    access,
    partial(of_backups, scheme="s3", takers="tasks"),
    schedules,
)
