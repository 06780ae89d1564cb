"""The dynamic resources of the ecs target: the wait for a rollout, and the tools of one-shot tasks. Thin."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import Resource

from mlflow_backend.backup.tool import STORED
from mlflow_backend.module_provider import ModuleProvider
from mlflow_backend.releases import provider

if TYPE_CHECKING:
    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.backup.tool import Tool


class RolloutProvider(provider.RolloutProvider):
    """ECS's wait."""

    compared = ("locator", "revision")
    module = "mlflow_backend.rollout"


class BackupToolProvider(ModuleProvider):
    """A tool in the backend's store; what is in it follows from its inputs and this package.

    States name the class as it was called for the first tool.
    """

    module = "mlflow_backend.aws.task_tool"


class TaskTool(Resource, module="mlflow-backend", name="EcsBackupTool"):
    """The tool that a one-shot task fetches."""

    def __init__(
        self, name: str, *, connection: Connection, tool: pulumi.Output[Tool], opts: pulumi.ResourceOptions
    ) -> None:
        """Take the tool, and how AWS is reached."""
        props = {name: tool.apply(attrgetter(name)) for name in STORED}
        super().__init__(BackupToolProvider(), name, {"connection": connection.document(), **props}, opts)


class Rollout(provider.Rollout, module="mlflow-backend", name="EcsRollout"):
    """A revision that was seen to serve."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """See releases.provider.Rollout."""
        super().__init__(RolloutProvider(), name, opts, **props)
