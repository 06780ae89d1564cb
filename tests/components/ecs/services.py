"""An ECS service as DescribeServices gives it, a clock that moves by pauses, and a history over recorded answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_backend.aws.clients import Clients
from mlflow_backend.ecs.history import EcsHistory, ServiceName
from mlflow_backend.pace import Pace
from tests.components.ecs.recorded import REGION, Recorded

if TYPE_CHECKING:
    from datetime import datetime

FAMILY = "mlflow"

NAME = ServiceName(region=REGION, cluster="backend", service="server")


def definition_arn(number: int, family: str = FAMILY) -> str:
    """Return the ARN of a task definition."""
    return f"arn:aws:ecs:{REGION}:123456789012:task-definition/{family}:{number}"


def deployment(number: int, **over: Any) -> dict[str, Any]:
    """Return a deployment as DescribeServices gives it, completed unless told otherwise."""
    return {
        "id": f"ecs-svc/{number}",
        "status": "PRIMARY",
        "taskDefinition": definition_arn(number),
        "desiredCount": 2,
        "pendingCount": 0,
        "runningCount": 2,
        "failedTasks": 0,
        "rolloutState": "COMPLETED",
        "rolloutStateReason": "ECS deployment completed.",
        **over,
    }


def service(*found: dict[str, Any], events: tuple[tuple[datetime, str], ...] = (), **over: Any) -> dict[str, Any]:
    """Return an answer of DescribeServices."""
    answer = {
        "serviceName": "server",
        "status": "ACTIVE",
        "taskDefinition": found[0]["taskDefinition"] if found else definition_arn(1),
        "deployments": list(found),
        "events": [{"id": str(n), "createdAt": at, "message": text} for n, (at, text) in enumerate(events)],
        **over,
    }
    return {"services": [answer]}


STARTING = deployment(42, rolloutState="IN_PROGRESS", runningCount=1, pendingCount=1)

OLD = deployment(41, status="ACTIVE")

BROKEN = deployment(
    42, status="ACTIVE", rolloutState="FAILED", runningCount=0,
    rolloutStateReason="ECS deployment circuit breaker: tasks failed to start.",
)  # fmt: skip


@dataclass
class Time:
    """A clock that moves only when somebody pauses."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def pace(self) -> Pace:
        """Return the pace that this clock sets."""
        return Pace(clock=lambda: self.now, pause=self._pause, poll_s=3.0)

    def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@dataclass
class Aws:
    """Recorded ECS and logs, and a history on them."""

    ecs: Recorded = field(default_factory=lambda: Recorded("ecs"))
    logs: Recorded = field(default_factory=lambda: Recorded("logs"))
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        """No stopped task unless a test says so."""
        self.ecs.answers("ListTasks", {"taskArns": []})

    @property
    def history(self) -> EcsHistory:
        """The history under test."""
        clients = Clients(ecs=self.ecs.client, logs=self.logs.client)
        return EcsHistory(clients=clients, name=NAME, pace=self.time.pace())
