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


class CandidateProvider(provider.CandidateProvider):
    """A revision with a tag."""

    module = "mlflow_backend.cloudrun.candidate"


class RolloutProvider(provider.RolloutProvider):
    """The wait for the traffic."""

    compared = ("locator", "revision")
    module = "mlflow_backend.rollout"


class Candidate(Resource, module="mlflow-backend", name="CloudRunCandidate"):
    """A release that was verified before users meet it."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """Take the locator, the release's revision, its template, the traffic with it, and how it is verified."""
        super().__init__(CandidateProvider(), name, props, opts)


class Rollout(provider.Rollout, module="mlflow-backend", name="CloudRunRollout"):
    """A revision that was seen to serve."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions, **props: pulumi.Input[Any]) -> None:
        """See releases.provider.Rollout."""
        super().__init__(RolloutProvider(), name, opts, **props)
