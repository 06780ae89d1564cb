"""Dynamic resources of the target kubernetes: the server's Secret, those of clients, the candidate, waits. Thin.

The path of this module and the names of its classes are frozen: Pulumi keeps providers by module and class name, so
that moving or renaming one makes `destroy` fail for stacks that exist (a test pins them). For the same reason an
instance has no attributes: those would be kept in the state.
"""

from __future__ import annotations

from typing import Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import CreateResult, DiffResult, Resource, UpdateResult

from mlflow_backend.dynamic import UPDATE_ID, Provider, is_unknown, update_id
from mlflow_backend.module_provider import ModuleProvider
from mlflow_backend.releases import provider

# Each method imports what it needs: the provider's process starts light.
# ruff: noqa: PLC0415


class ServerSecretsProvider(ModuleProvider):
    """All that the server needs, each value generated once, straight into a Secret of the cluster."""

    module = "mlflow_backend.kubernetes.secrets"


class ClientLoginProvider(ModuleProvider):
    """A user's name and password in a namespace of clients."""

    module = "mlflow_backend.kubernetes.client_logins"


class CandidateProvider(provider.CandidateProvider):
    """A candidate beside the servers."""

    module = "mlflow_backend.kubernetes.candidate"


class RolloutProvider(provider.RolloutProvider):
    """The wait for the Deployment."""

    compared = ("locator", "identity", "secrets")
    module = "mlflow_backend.kubernetes.rollout"


class StoresProvider(Provider):
    """The wait for the stores in the cluster."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait for them. Raises PlatformFailed with the cluster's own reasons; the next update then waits again."""
        from mlflow_backend.kubernetes import stores

        stores.wait(props)
        return CreateResult(id_="stores", outs=props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Wait for them as they are now."""
        from mlflow_backend.kubernetes import stores

        stores.wait(news)
        return UpdateResult(outs=news)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another document is waited for; how long does not matter afterwards."""
        return DiffResult(changes=is_unknown(news) or olds.get("documents") != news["documents"])


class ServerSecrets(Resource, module="mlflow-backend", name="KubernetesServerSecrets"):
    """Outputs: versions, which change with the values; never a value.

    `version` is of all that servers are started with, `certificate` of the database's, `cache` of the cache's password,
    `keys` of the encryption keys in force.
    """

    version: pulumi.Output[str]
    certificate: pulumi.Output[str]
    cache: pulumi.Output[str]
    keys: pulumi.Output[str]

    def __init__(self, name: str, props: dict[str, Any], *, opts: pulumi.ResourceOptions) -> None:
        """Take the Secret and what it holds (secrets.INPUTS)."""
        found = dict.fromkeys(("version", "certificate", "cache", "keys", "waiting"))
        super().__init__(ServerSecretsProvider(), name, {**props, **found}, opts)


class ClientLogin(Resource, module="mlflow-backend", name="KubernetesClientLogin"):
    """A Secret in a namespace of clients, with the variables by which MLflow's clients log in as a user."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the Secret's namespace, name and labels, the user, and the reference to the password."""
        super().__init__(ClientLoginProvider(), name, {**props, UPDATE_ID: update_id()}, opts)


class Candidate(Resource, module="mlflow-backend", name="KubernetesCandidate"):
    """A release that was verified before users meet it."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the release's identity and its secrets' version, its documents, and how it is verified."""
        super().__init__(CandidateProvider(), name, props, opts)


class Stores(Resource, module="mlflow-backend", name="KubernetesStores"):
    """The stores in the cluster that were seen to be ready."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the parts, a digest of their documents, and how long they may take."""
        super().__init__(StoresProvider(), name, props, opts)


class Rollout(provider.Rollout, module="mlflow-backend", name="KubernetesRollout"):
    """A release that was seen to serve."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """See releases.provider.Rollout."""
        super().__init__(RolloutProvider(), name, opts, **props)
