"""Dynamic resources of the target kubernetes: the server's Secret, the candidate, the wait for a rollout. Thin.

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
    """All that the server needs, each value generated once, straight into a Secret of the cluster."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the Secret, or take over what a stack that protects its data left."""
        from mlflow_backend.kubernetes import secrets

        return CreateResult(id_=f"{props['namespace']}/{props['secret']}", outs=secrets.ensure(props))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Take over what is there."""
        from mlflow_backend.kubernetes import secrets

        return UpdateResult(outs=secrets.ensure(news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at it; one that is gone is made anew by the next update."""
        from mlflow_backend.kubernetes import secrets

        found = secrets.look(props)
        return ReadResult(id_=id_ if found else "", outs=found or props)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare with the Secret itself: a changed password does not wait for a refresh."""
        from mlflow_backend.kubernetes import secrets

        replaced = [key for key in secrets.REPLACING if olds.get(key) != news.get(key)]
        return DiffResult(changes=bool(replaced) or secrets.changed(olds, news), replaces=replaced)

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Delete it, unless it opens what outlives the stack."""
        from mlflow_backend.kubernetes import secrets

        secrets.delete(props)


class CandidateProvider(Provider):
    """Verifies a new release apart from users. Between updates there is nothing of it."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Verify it. Raises CandidateFailed."""
        from mlflow_backend.kubernetes import candidate

        candidate.verify(props)
        return CreateResult(id_="candidate", outs=props)

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Verify it. Raises CandidateFailed; the next update then verifies it again."""
        from mlflow_backend.kubernetes import candidate

        candidate.verify(news)
        return UpdateResult(outs=news)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another release is another candidate."""
        from mlflow_backend.kubernetes import candidate

        return DiffResult(changes=is_unknown(news) or candidate.changed(olds, news))


class RolloutProvider(Provider):
    """The wait for the Deployment: an update whose pods are not ready in time fails, and says why."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait until the release serves. Raises PlatformFailed with the cluster's own reasons."""
        from mlflow_backend.kubernetes import rollout

        return CreateResult(id_=props["identity"], outs=rollout.wait(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another release is waited for anew: a failed `update` would keep the old green entry."""
        from mlflow_backend.kubernetes import rollout

        changed = rollout.changed(olds, news)
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Ask once whether the revision still serves; if not, the next update waits again."""
        from mlflow_backend.kubernetes import rollout

        return ReadResult(id_=id_ if rollout.still_serving(props) else "", outs=props)


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


class Candidate(Resource, module="mlflow-backend", name="KubernetesCandidate"):
    """A release that was verified before users meet it."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the release's identity and its secrets' version, its documents, and how it is verified."""
        super().__init__(CandidateProvider(), name, props, opts)


class Rollout(Resource, module="mlflow-backend", name="KubernetesRollout"):
    """A release that was seen to serve. Outputs: `revision`."""

    revision: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the release's identity and its secrets' version, and how long it may take."""
        super().__init__(RolloutProvider(), name, {**props, "revision": None}, opts)
