"""Dynamic resources that targets on Google Cloud share: the values of the server's secrets. Thin.

The path of this module and the names of its classes are frozen: Pulumi keeps providers by module and class name, so
that moving or renaming one makes `destroy` fail for stacks that exist (a test pins them). For the same reason an
instance has no attributes: those would be kept in the state.
"""

from __future__ import annotations

from typing import Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import Resource

from mlflow_backend.module_provider import ModuleProvider


class ServerSecretsProvider(ModuleProvider):
    """All that the server needs, each value generated once, straight into Secret Manager."""

    module = "mlflow_backend.gcp.secrets"


class ServerSecrets(Resource, module="mlflow-backend", name="GcpServerSecrets"):
    """Outputs: the version of each secret by its part, and a fingerprint of the encryption keys; never a value."""

    versions: pulumi.Output[dict[str, str]]
    fingerprint: pulumi.Output[str]

    def __init__(self, name: str, props: dict[str, Any], *, opts: pulumi.ResourceOptions) -> None:
        """Take the secrets and what is in them (secrets.INPUTS)."""
        super().__init__(ServerSecretsProvider(), name, {**props, "versions": None, "fingerprint": None}, opts)
