"""Dynamic resources of the target cloudrun: the candidate, and the wait for a rollout. Thin.

The path of this module and the names of its classes are frozen: Pulumi keeps providers by module and class name, so
that moving or renaming one makes `destroy` fail for stacks that exist (a test pins them). For the same reason an
instance has no attributes: those would be kept in the state.
"""

from __future__ import annotations

from typing import Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import Resource

from mlflow_backend.releases import provider

# Each method imports what it needs: the provider's process starts light.
# ruff: noqa: PLC0415


class CandidateProvider(provider.CandidateProvider):
    """A revision with a tag."""

    def verify(self, props: dict[str, Any]) -> None:
        """Verify it, and give it the traffic. Raises CandidateFailed."""
        from mlflow_backend.cloudrun import candidate

        candidate.verify(props)

    def changed(self, olds: dict[str, Any], news: dict[str, Any]) -> bool:
        """Compare the release, and look for a tag that a killed update left."""
        from mlflow_backend.cloudrun import candidate

        return candidate.changed(olds, news)


class RolloutProvider(provider.RolloutProvider):
    """The wait for the traffic."""

    def wait(self, props: dict[str, Any]) -> dict[str, Any]:
        """Wait until the release serves. Raises PlatformFailed with Google's own reasons."""
        from mlflow_backend import rollout
        from mlflow_backend.locator import from_document
        from mlflow_backend.releases.targets import open_releases

        return rollout.wait(open_releases(from_document(props["locator"])), str(props["revision"]), props)

    def changed(self, olds: dict[str, Any], news: dict[str, Any]) -> list[str]:
        """Compare the revision; one that does not serve is waited for again."""
        from mlflow_backend.releases.resource import still_serving

        same = olds.get("revision") == news.get("revision") and still_serving(olds)
        return [] if same else ["revision"]


class Candidate(Resource, module="mlflow-backend", name="CloudRunCandidate"):
    """A release that was verified before users meet it."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the release's revision, its template, the traffic with it, and how it is verified."""
        super().__init__(CandidateProvider(), name, props, opts)


class Rollout(Resource, module="mlflow-backend", name="CloudRunRollout"):
    """A release that was seen to serve. Outputs: `revision`."""

    revision: pulumi.Output[str]

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the revision, and how long it may take."""
        super().__init__(RolloutProvider(), name, props, opts)
