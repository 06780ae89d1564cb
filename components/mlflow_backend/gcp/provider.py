"""Dynamic resources that targets on Google Cloud share: the server's secrets, and the tools of one-shot tasks. Thin.

The path of this module and the names of its classes are frozen: Pulumi keeps providers by module and class name, so
that moving or renaming one makes `destroy` fail for stacks that exist (a test pins them). For the same reason an
instance has no attributes: those would be kept in the state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import Resource

from mlflow_backend.backup.tool import STORED
from mlflow_backend.module_provider import ModuleProvider

if TYPE_CHECKING:
    from mlflow_backend.backup.tool import Tool


class ServerSecretsProvider(ModuleProvider):
    """All that the server needs, each value generated once, straight into Secret Manager."""

    module = "mlflow_backend.gcp.secrets"


class BackupToolProvider(ModuleProvider):
    """The tool of a one-shot task, in the backend's store; what is in it follows from its inputs and this package."""

    module = "mlflow_backend.gcp.backup_tool"


class BackupTool(Resource, module="mlflow-backend", name="GcpBackupTool"):
    """The tool that a job fetches."""

    def __init__(self, name: str, tool: Tool, *, opts: pulumi.ResourceOptions) -> None:
        """Take the tool."""
        super().__init__(BackupToolProvider(), name, {name: getattr(tool, name) for name in STORED}, opts)


class ServerSecrets(Resource, module="mlflow-backend", name="GcpServerSecrets"):
    """Outputs: the version of each secret by its part, and a fingerprint of the encryption keys; never a value."""

    versions: pulumi.Output[dict[str, str]]
    fingerprint: pulumi.Output[str]

    def __init__(self, name: str, props: dict[str, Any], *, opts: pulumi.ResourceOptions) -> None:
        """Take the secrets and what is in them (secrets.INPUTS)."""
        super().__init__(ServerSecretsProvider(), name, {**props, "versions": None, "fingerprint": None}, opts)
