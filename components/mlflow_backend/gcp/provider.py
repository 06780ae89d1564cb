"""Dynamic resources that targets on Google Cloud share: the values of the server's secrets. Thin.

The path of this module and the names of its classes are frozen: Pulumi keeps providers by module and class name, so
that moving or renaming one makes `destroy` fail for stacks that exist (a test pins them). For the same reason an
instance has no attributes: those would be kept in the state.
"""

from __future__ import annotations

from typing import Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from mlflow_backend.dynamic import Provider, is_unknown

# Each method imports what it needs: the provider's process starts light.
# ruff: noqa: PLC0415


class ServerSecretsProvider(Provider):
    """All that the server needs, each value generated once, straight into Secret Manager."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Draw the values, or take over those that a stack which protects its data left."""
        from mlflow_backend.gcp import secrets

        return CreateResult(id_=f"{props['project']}/secrets", outs=secrets.ensure(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Take over the versions that are there."""
        from mlflow_backend.gcp import secrets

        return UpdateResult(outs=secrets.ensure(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at them; if one is gone, the next update draws it anew."""
        from mlflow_backend.gcp import secrets

        found = secrets.look(props)
        return ReadResult(id_=id_ if found else "", outs=found or props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare with Secret Manager itself: a changed password does not wait for a refresh."""
        from mlflow_backend.gcp import secrets

        return DiffResult(changes=is_unknown(news) or secrets.changed(olds, news))


class ServerSecrets(Resource, module="mlflow-backend", name="GcpServerSecrets"):
    """Outputs: the version of each secret by its part, and a fingerprint of the encryption keys; never a value."""

    versions: pulumi.Output[dict[str, str]]
    fingerprint: pulumi.Output[str]

    def __init__(self, name: str, props: dict[str, Any], *, opts: pulumi.ResourceOptions) -> None:
        """Take the secrets and what is in them (secrets.INPUTS)."""
        super().__init__(ServerSecretsProvider(), name, {**props, "versions": None, "fingerprint": None}, opts)
