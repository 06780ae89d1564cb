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
    from collections.abc import Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document
    from mlflow_backend.settings import Settings


def roles(settings: Settings, naming: Naming) -> tuple[Role, ...]:
    """Return every role that a backend with these settings has."""
    execution = partial(_execution, settings, naming)
    found: tuple[Role, ...] = (
        Role(
            part="server",
            given=("store", "api_keys", "key"),
            document=lambda store, api_keys, key: aws_policies.server(naming, store, keys_secret=api_keys, key_arn=key),
        ),
        Role(part="tasks", given=("store",), document=lambda store: aws_policies.database_tasks(naming, store)),
        Role(
            part="server-execution", given=("key", "server", "database", "cache"), document=partial(execution, "server")
        ),
        Role(
            part="tasks-execution", given=("key", "server", "database", "admin"), document=partial(execution, "tasks")
        ),
    )
    scheduled = VERIFY in schedules(settings)
    if settings.aws.network.internal or scheduled:
        document = partial(aws_policies.verify_task, naming, scheduled=scheduled)
        verify = Role(part="verify", given=("store",), document=document)
        start = Role(part="verify-execution", given=("key", "server"), document=partial(execution, "tasks"))
        found = (*found, verify, start)
    secrets = ("key", "server", "database")
    if tasks_call_balancer(settings):
        document = partial(aws_policies.maintenance_task, naming, tools=FOLDER)
        maintain = Role(part=MAINTENANCE, given=("store",), document=document)
        start = Role(part=f"{MAINTENANCE}-execution", given=secrets, document=partial(execution, "tasks"))
        found = (*found, maintain, start)
    if settings.backup.destination is not None:
        there = destination(settings, naming.stack)
        backup = Role(part=BACKUP, given=("store",), document=partial(task, naming, there=there))
        read = (*secrets, "api_keys")
        start = Role(part=f"{BACKUP}-execution", given=read, document=partial(execution, "tasks"))
        found = (*found, backup, start)
    return found


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
