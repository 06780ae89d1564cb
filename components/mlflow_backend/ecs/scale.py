"""No server at all for a while, and as many as before afterwards.

What there was is journalled before anything is scaled down, so that whoever comes after a kill can bring it back:
the service's desired count, and autoscaling's minimum, which would otherwise start servers in the middle of a
migration.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.ecs.history import find_service
from mlflow_backend.pace import Pace

if TYPE_CHECKING:
    from mypy_boto3_application_autoscaling import ApplicationAutoScalingClient

    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.ecs.history import ServiceName
    from mlflow_backend.releases.journal import Journal

_DIMENSION: Final = "ecs:service:DesiredCount"
# Deregistration waits for the longest request, and then the task has two minutes to stop.
_STOP_DEADLINE_S: Final = 3600 + 120 + 60


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How many tasks the service has."""

    clients: Clients
    scaling: ApplicationAutoScalingClient
    name: ServiceName
    journal: Journal
    pace: Pace = field(default_factory=Pace)

    def down(self) -> None:
        """End every task and wait until none is left; safe to repeat. Nothing happens if there is no service yet."""
        service = find_service(self.clients, self.name)
        if service is None or service.get("status") == "DRAINING":
            return
        bounds = self._bounds()
        if self.journal.load() is None:
            self.journal.write({"desired": service["desiredCount"], "bounds": list(bounds) if bounds else None})
        if bounds is not None:
            self._bound(0, bounds[1])
        self.clients.ecs.update_service(cluster=self.name.cluster, service=self.name.service, desiredCount=0)
        self._wait_for_none()

    def up(self) -> None:
        """Bring back what `down` took away; nothing if it took nothing away."""
        before = self.journal.load()
        if before is None:
            return
        if before["bounds"] is not None:
            self._bound(*before["bounds"])
        self.clients.ecs.update_service(
            cluster=self.name.cluster,
            service=self.name.service,
            desiredCount=before["desired"],
            # A deployment that completed with no task at all is over, and its circuit breaker with it.
            forceNewDeployment=True,
        )
        self.journal.close()

    def _wait_for_none(self) -> None:
        began = self.pace.clock()
        while True:
            service = find_service(self.clients, self.name)
            if service is None or service["runningCount"] + service["pendingCount"] == 0:
                return
            if self.pace.clock() - began >= _STOP_DEADLINE_S:
                raise PlatformFailed(
                    f"{service['runningCount']} tasks of {self.name.service} still run after {_STOP_DEADLINE_S} s.",
                    code="tasks-still-running",
                )
            self.pace.pause(self.pace.poll_s)

    def _bounds(self) -> tuple[int, int] | None:
        found = self.scaling.describe_scalable_targets(
            ServiceNamespace="ecs", ResourceIds=[self._resource], ScalableDimension=_DIMENSION
        )["ScalableTargets"]
        return (found[0]["MinCapacity"], found[0]["MaxCapacity"]) if found else None

    def _bound(self, least: int, most: int) -> None:
        self.scaling.register_scalable_target(
            ServiceNamespace="ecs",
            ResourceId=self._resource,
            ScalableDimension=_DIMENSION,
            MinCapacity=least,
            MaxCapacity=most,
        )

    @property
    def _resource(self) -> str:
        return f"service/{self.name.cluster}/{self.name.service}"
