"""The roles of the backend's tasks, each with the document that says what it may do. Pure.

ECS itself takes the `-execution` ones: `server` for the server's tasks, `tasks` for the database's one-shot tasks,
`verify` for a verification inside the network, `backup` for backups, `maintenance` for maintenance. EventBridge
Scheduler takes `scheduler`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlflow_backend.aws.render import policies as aws_policies
from mlflow_backend.aws.render.backups import destination, task
from mlflow_backend.aws.render.network import tasks_call_balancer
from mlflow_backend.aws.render.roles import Role
from mlflow_backend.aws.render.scheduler import SCHEDULER, starter
from mlflow_backend.backup.tool import FOLDER
from mlflow_backend.ecs.render import policies
from mlflow_backend.ecs.render.scheduled import VERIFY, schedules
from mlflow_backend.schedules import BACKUP, MAINTENANCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document
    from mlflow_backend.settings import Settings


def roles(settings: Settings, naming: Naming) -> tuple[Role, ...]:
    """Return every role that a backend with these settings has."""
    scheduled = VERIFY in schedules(settings)

    def both(
        part: str, document: Callable[..., Document], *, secrets: tuple[str, ...], given: tuple[str, ...] = ()
    ) -> tuple[Role, Role]:
        """Return the role of a part's tasks, and the one by which ECS starts them and reads their `secrets`."""
        execution = partial(_execution, settings, naming, "server" if part == "server" else "tasks")
        own = Role(part=part, given=("store", *given), document=partial(document, naming))
        return own, Role(part=f"{part}-execution", given=("key", *secrets), document=execution)

    found = [
        *both("server", aws_policies.server, secrets=("server", "database", "cache"), given=("api_keys", "key")),
        *both("tasks", aws_policies.database_tasks, secrets=("server", "database", "admin")),
    ]
    if settings.aws.network.internal or scheduled:
        found += both(VERIFY, partial(aws_policies.verify_task, scheduled=scheduled), secrets=("server",))
    if tasks_call_balancer(settings):
        found += both(MAINTENANCE, partial(aws_policies.maintenance_task, tools=FOLDER), secrets=("server", "database"))
    if settings.backup.destination is not None:
        backup = partial(task, there=destination(settings, naming.stack))
        found += both(BACKUP, backup, secrets=("server", "database", "api_keys"))
    return tuple(found)


def scheduler(naming: Naming, parts: Sequence[str]) -> Role:
    """Return the role that EventBridge Scheduler takes to start the tasks of these parts."""
    return Role(part=SCHEDULER, given=(), document=partial(starter, naming, parts))


def _execution(settings: Settings, naming: Naming, log_part: str, *, key: str, **secrets: str | None) -> Document:
    read = [*secrets.values(), settings.aws.registry_secret]
    return policies.execution(
        naming,
        secrets=[arn for arn in read if arn is not None],
        keys=[key],
        log_group=naming.log_group_arn(log_part),
        repository_arn=aws_policies.repository_arn(settings, naming),
    )
