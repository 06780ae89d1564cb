"""The IAM roles of a backend's pods, one for each service account that asks anything of AWS. Pure."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlflow_backend.aws.render import backups, policies
from mlflow_backend.aws.render.roles import Role
from mlflow_backend.kubernetes.naming import SERVER, TASKS, VERIFICATION, VERIFY
from mlflow_backend.kubernetes.render.scheduled import scheduled
from mlflow_backend.schedules import BACKUP, MAINTENANCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document
    from mlflow_backend.settings import Settings


def roles(settings: Settings, naming: Naming) -> tuple[Role, ...]:
    """Return the roles by their account, which those are that ask anything of AWS."""
    documents: dict[str, Callable[..., Document]] = {
        SERVER: policies.server,
        TASKS: policies.database_tasks,
        VERIFY: partial(policies.verify_task, scheduled=VERIFICATION in scheduled(settings)),
        MAINTENANCE: policies.maintenance_task,
    }
    if settings.backup.destination is not None:
        documents[BACKUP] = partial(backups.task, there=backups.destination(settings, naming.stack))
    return tuple(
        Role(part=part, given=("store",), document=partial(document, naming)) for part, document in documents.items()
    )
