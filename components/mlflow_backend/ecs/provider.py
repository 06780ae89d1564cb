"""The dynamic resources of the ecs target: the wait for a rollout, and the tool that takes backups. Thin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import Resource

from mlflow_backend.dynamic import document_of
from mlflow_backend.module_provider import ModuleProvider
from mlflow_backend.releases import provider

if TYPE_CHECKING:
    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.locator import Locator


class RolloutProvider(provider.RolloutProvider):
    """ECS's wait."""

    compared = ("locator", "revision")

    def wait(self, props: dict[str, Any]) -> dict[str, Any]:
        """Wait until the revision serves. Raises PlatformFailed with ECS's own reasons."""
        from mlflow_backend import rollout  # noqa: PLC0415 (the provider process starts light)

        return rollout.wait_for(props)


class BackupToolProvider(ModuleProvider):
    """The tool that takes backups, in the backend's store; what is in it follows from its inputs and this package."""

    module = "mlflow_backend.ecs.backup_tool"


class BackupTool(Resource, module="mlflow-backend", name="EcsBackupTool"):
    """The tool that the task of backups fetches."""

    def __init__(
        self, name: str, *, connection: Connection, tool: pulumi.Output[Tool], opts: pulumi.ResourceOptions
    ) -> None:
        """Take the tool, and how AWS is reached."""
        props = {
            "connection": connection.document(),
            "bucket": tool.apply(lambda found: found.bucket),
            "key": tool.apply(lambda found: found.key),
            "job": tool.apply(lambda found: found.job),
            "settings": tool.apply(lambda found: found.settings),
        }
        super().__init__(BackupToolProvider(), name, props, opts)


class Rollout(Resource, module="mlflow-backend", name="EcsRollout"):
    """A revision that was seen to serve. Outputs: `revision`."""

    revision: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        *,
        revision: pulumi.Input[str],
        locator: pulumi.Input[Locator],
        deadline_s: int,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Take the revision that must serve, the backend's locator, and how long that may take."""
        props = {"revision": revision, "locator": document_of(locator), "deadline": deadline_s}
        super().__init__(RolloutProvider(), name, props, opts)
