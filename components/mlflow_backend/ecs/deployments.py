"""The state of a rollout of one revision, by an answer of DescribeServices. Pure.

botocore's waiter `services_stable` looks at task counts only, and says stable also after the circuit breaker has gone
back to the old revision (facts: docs/targets/ecs.md). So each deployment's task definition and rollout state are
compared here, and 'stable on another revision' is a failure.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_ARN = re.compile(r"(?:arn:[^:]+:ecs:[^:]*:\d*:task-definition/)?(?P<family>[A-Za-z0-9_-]+):(?P<number>\d+)")


class RolloutState(enum.Enum):
    """Where the revision that was asked for stands."""

    SERVING = "serving"
    WAITING = "waiting"
    FAILED = "failed"
    ELSEWHERE = "elsewhere"
    """The service is at another revision, and nothing says that it ever tried this one."""


@dataclass(frozen=True, kw_only=True)
class TaskDefinitionId:
    """A task definition revision. Orders by number."""

    family: str
    number: int

    def __str__(self) -> str:
        """Return it as ECS takes it."""
        return f"{self.family}:{self.number}"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """One deployment of the service, as far as it decides anything here."""

    revision: TaskDefinitionId
    primary: bool
    rollout: str
    reason: str
    desired: int
    running: int
    pending: int

    @property
    def done(self) -> bool:
        """Whether all its tasks run and ECS calls it completed."""
        return self.rollout == "COMPLETED" and 0 < self.desired <= self.running


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Where a revision stands, and what ECS says of it."""

    state: RolloutState
    reason: str = ""


def identify(text: str) -> TaskDefinitionId:
    """Return the task definition that an ARN or `family:number` names. Raises ValueError for anything else."""
    match = _ARN.fullmatch(text)
    if match is None:
        raise ValueError("not the ARN or family:number of a task definition")
    return TaskDefinitionId(family=match["family"], number=int(match["number"]))


def deployments(service: Mapping[str, Any]) -> tuple[Deployment, ...]:
    """Return a service's deployments, as DescribeServices gave them: the primary one is the one ECS works towards."""
    return tuple(map(_deployment, service.get("deployments", [])))


def assess(service: Mapping[str, Any], wanted: TaskDefinitionId) -> Assessment:
    """Say where `wanted` stands in what DescribeServices answered."""
    if service.get("status") != "ACTIVE":
        return Assessment(state=RolloutState.FAILED, reason=f"the service is {service.get('status', 'unknown')}")
    primary = primary_of(service)
    if primary is not None and primary.revision == wanted:
        return _of_primary(primary)
    failed = next((each for each in deployments(service) if each.revision == wanted and each.rollout == "FAILED"), None)
    where = f"the service is at revision {primary.revision.number}" if primary else "the service has no deployment"
    if failed is not None:
        return Assessment(state=RolloutState.FAILED, reason=f"{failed.reason}; {where}")
    return Assessment(state=RolloutState.ELSEWHERE, reason=f"{where}, not at {wanted.number}")


def start_s(service: Mapping[str, Any]) -> float | None:
    """Return the seconds from the primary deployment's start until ECS called it completed; None if it did not.

    Both times are ECS's own. The end of the old tasks is in it, if ECS waited for that.
    """
    for each in service.get("deployments", []):
        if each.get("status") == "PRIMARY" and each.get("rolloutState") == "COMPLETED":
            started, ended = each.get("createdAt"), each.get("updatedAt")
            return (ended - started).total_seconds() if started and ended else None
    return None


def in_progress(service: Mapping[str, Any]) -> Deployment | None:
    """Return the deployment that is under way."""
    primary = primary_of(service)
    return primary if primary is not None and primary.rollout == "IN_PROGRESS" else None


def primary_of(service: Mapping[str, Any]) -> Deployment | None:
    """Return the deployment of the revision that the service is set to run, whether or not tasks of it run."""
    return next((each for each in deployments(service) if each.primary), None)


def family_of(service: Mapping[str, Any]) -> str:
    """Return the family of a service's task definitions."""
    return identify(service["taskDefinition"]).family


def serving(service: Mapping[str, Any]) -> TaskDefinitionId | None:
    """Return the revision that answers users: the one whose deployment completed, else whichever has tasks."""
    running = [each for each in deployments(service) if each.running]
    completed = [each for each in running if each.rollout == "COMPLETED"]
    return next((each.revision for each in (*completed, *running)), None)


def _of_primary(primary: Deployment) -> Assessment:
    if primary.rollout == "FAILED":
        return Assessment(state=RolloutState.FAILED, reason=primary.reason)
    if primary.done:
        return Assessment(state=RolloutState.SERVING)
    if primary.desired == 0:
        return Assessment(state=RolloutState.FAILED, reason="the service's desired count is 0, so no task runs")
    counts = f"{primary.running} of {primary.desired} tasks run, {primary.pending} are starting"
    return Assessment(state=RolloutState.WAITING, reason=counts)


def _deployment(answer: Mapping[str, Any]) -> Deployment:
    desired, running = answer.get("desiredCount", 0), answer.get("runningCount", 0)
    pending = answer.get("pendingCount", 0)
    # The state is missing behind a Classic Load Balancer only (ECS API reference, Deployment); counts decide then.
    settled = "COMPLETED" if running == desired and not pending else "IN_PROGRESS"
    return Deployment(
        revision=identify(answer["taskDefinition"]),
        primary=answer.get("status") == "PRIMARY",
        rollout=answer.get("rolloutState") or settled,
        reason=answer.get("rolloutStateReason", "ECS gave no reason"),
        desired=desired,
        running=running,
        pending=pending,
    )
