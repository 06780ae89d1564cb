"""A backend's task definitions and IAM documents as they are before AWS has drawn any of its names. Pure.

A first preview of the engine does not know them: they are made of ARNs and addresses that AWS has yet to draw. The
functions that render them are the update's own, given stand-ins in the form of what is not known.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.render import alarms, balancer, cache, database, network, scheduler, secrets, storage
from mlflow_backend.aws.render.documents import billing, documents
from mlflow_backend.aws.render.secrets import SecretSource
from mlflow_backend.ecs.render import roles, scheduled, service, tasks
from mlflow_backend.report.policies import RenderedParts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.settings import Settings

BILLING: Final = billing(alarms, balancer, cache, database, network, scheduler, secrets, storage, service)


def render(settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
    """Return the parts of a stack. `image` is the one that preflight has pinned; None if it has not.

    Raises Refused and ValueError for settings that cannot be rendered.
    """
    naming = Naming.of(settings, project=project, stack=stack)
    drawn = tasks.TaskDependencies(
        image=image or "image-that-preflight-has-not-resolved",
        url=settings.network.public_url or f"http://{naming.balancer()}.elb.amazonaws.com",
        database=database.database_address(settings, "database.invalid", network.DATABASE_PORT),
        cache=cache.cache_address(settings, "cache.invalid", network.CACHE_PORT),
        store=storage.store(settings, naming),
        server_secret=SecretSource(arn=_secret(naming, "server"), key=""),
        cache_secret=SecretSource(arn=_secret(naming, "cache"), key="url"),
        admin_secret=_secret(naming, "rds") if settings.database.mode == "create" else None,
        api_keys=_secret(naming, "api-keys") if settings.access.mode == "token" else None,
        roles={role.part: naming.role_arn(role.part) for role in roles.roles(settings, naming)},
    )
    rendered = tasks.definitions(settings, naming, drawn, release=tasks.release_identity(settings, naming))
    server = rendered[tasks.SERVER]
    return RenderedParts(
        inputs={service.TASK: {name: server[name] for name in ("cpu", "memory")}},
        containers={f"{part} task": json.loads(task["container_definitions"]) for part, task in rendered.items()},
        documents=_documents(settings, naming, drawn),
        image_known=image is not None,
    )


def _documents(settings: Settings, naming: Naming, drawn: tasks.TaskDependencies) -> dict[str, Mapping[str, Any]]:
    given = {
        "store": drawn.store,
        "key": naming.arn("kms", "key/drawn-by-aws"),
        "server": drawn.server_secret.arn,
        "database": drawn.password.arn,
        "cache": drawn.cache_secret.arn,
        "admin": drawn.admin_secret,
        "api_keys": drawn.api_keys,
    }
    made = [*roles.roles(settings, naming)]
    if parts := list(scheduled.expressions(settings)):
        made.append(roles.scheduler(naming, parts))
    return documents(settings, naming, made, given)


def _secret(naming: Naming, part: str) -> str:
    # AWS draws six letters for each secret's ARN.
    return naming.arn("secretsmanager", f"secret:{naming.secret(part)}-AbCdEf")
