"""The choice of the one-shot task that runs the database tool: the newest with the image of an MLflow version."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused
from mlflow_backend.ecs import deployments
from mlflow_backend.ecs.oneshot import EcsTask
from mlflow_backend.ecs.render.containers import VERSION_LABEL
from mlflow_backend.ecs.render.tasks import DATABASE

if TYPE_CHECKING:
    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.ecs.locator import EcsLocator

# The task definitions that are looked through for one with a version's image, newest first.
_LOOKED_THROUGH: Final = 20


def database_task(clients: Clients, locator: EcsLocator, version: str | None) -> EcsTask:
    """Return the task that runs the tool in a version's image; in the newest one if none is named.

    Any version's tool can say where a schema is. Raises Refused if the version's task definition is gone.
    """
    definition = locator.database_family if version is None else _definition(clients, locator, version)
    return EcsTask.of(clients, locator, definition, DATABASE)


def _definition(clients: Clients, locator: EcsLocator, version: str) -> str:
    family, ecs = locator.database_family, clients.ecs
    newest = deployments.identify(
        ecs.describe_task_definition(taskDefinition=family)["taskDefinition"]["taskDefinitionArn"]
    )
    for number in range(newest.number, max(newest.number - _LOOKED_THROUGH, 0), -1):
        found = ecs.describe_task_definition(taskDefinition=f"{family}:{number}")["taskDefinition"]
        labels = found["containerDefinitions"][0].get("dockerLabels", {})
        if labels.get(VERSION_LABEL) == version and found.get("status") == "ACTIVE":
            return f"{family}:{number}"
    raise Refused(
        f"No task definition of MLflow {version} is active any more, so its database tool cannot run.",
        code="tool-version-gone",
        fix="Deploy that version again, or choose another.",
    )
