"""The dynamic resource of the ecs target: the wait for a rollout. Thin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi  # noqa: TC002 - Pulumi evaluates the annotations of a resource's outputs
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource

from mlflow_backend.dynamic import Provider, document_of

if TYPE_CHECKING:
    from mlflow_backend.locator import Locator


class RolloutProvider(Provider):
    """The platform's wait: an update whose revision ECS gave up on fails, and says why."""

    serialize_as_secret_always = False

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Wait until the revision serves. Raises RolloutFailed with ECS's own reasons."""
        from mlflow_backend.ecs import rollout  # noqa: PLC0415

        return CreateResult(id_=str(props["revision"]), outs=rollout.wait(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Another service or revision is waited for anew: a failed `update` would keep the old green entry."""
        from mlflow_backend.ecs import rollout  # noqa: PLC0415

        changed = rollout.changed(olds, news)
        return DiffResult(changes=bool(changed), replaces=changed, delete_before_replace=True)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Ask once whether the revision still serves; if not, the next update waits again."""
        from mlflow_backend.ecs import rollout  # noqa: PLC0415

        return ReadResult(id_=id_ if rollout.still_serving(props) else "", outs=props)


class Rollout(Resource, module="mlflow-backend", name="EcsRollout"):
    """A revision that was seen to serve. Outputs: `revision`."""

    revision: pulumi.Output[str]

    def __init__(  # noqa: PLR0913 - which service and which revision, by name
        self,
        name: str,
        *,
        region: str,
        cluster: str,
        service: str,
        revision: pulumi.Input[str],
        locator: pulumi.Input[Locator],
        deadline_s: int,
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Take the service, the revision that it must serve, the backend's locator, and how long that may take."""
        props = {
            "region": region,
            "cluster": cluster,
            "service": service,
            "revision": revision,
            "locator": document_of(locator),
            "deadline": deadline_s,
        }
        super().__init__(RolloutProvider(), name, props, opts)
