"""The service: how many tasks, how one deployment replaces another, and how the number moves by itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.cache import cache_plan
from mlflow_backend.aws.render.network import ADDRESS, rules
from mlflow_backend.report.quantities import HOUR, MONTH, Billing, Inputs, Quantity, number, one, product
from mlflow_backend.settings.budget import most_replicas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.settings import Settings

# New tasks are added before old ones go: with one replica anything less than 200 % would be an interruption.
MINIMUM_PERCENT: Final = 100
MAXIMUM_PERCENT: Final = 200

# Out within a minute, in only after five: a task costs 11 CPU-seconds and up to half a minute to start.
SCALE_OUT_COOLDOWN_S: Final = 60
SCALE_IN_COOLDOWN_S: Final = 300

_CPU_UNITS: Final = 1024
_MIB: Final = 1024
# Of a task's disk (Amazon ECS developer guide, 'Fargate task ephemeral storage').
_INCLUDED_GIB: Final = 20
# Amazon ECS developer guide, 'Target tracking scaling policies': one to add tasks, one to take some away.
_ALARMS_OF_A_POLICY: Final = 2


@dataclass(frozen=True, kw_only=True)
class ScalingPlan:
    """Between how many tasks autoscaling moves."""

    least: int
    most: int

    @property
    def moves(self) -> bool:
        """Whether there is anything to scale."""
        return self.most > self.least


def scaling(settings: Settings) -> ScalingPlan:
    """Return how the number of tasks moves."""
    return ScalingPlan(least=settings.server.replicas, most=most_replicas(settings))


def decided(settings: Settings) -> list[str]:
    """Return the identity of what serving depends on and no output says: network rules, cache."""
    cache = str(cache_plan(settings)) if settings.cache.mode == "create" else str(settings.cache.existing)
    return [*map(str, rules(settings)), cache]


def _billed(inputs: Inputs) -> Iterator[Quantity]:
    """Count the tasks of a service by the definition that it runs."""
    count = number(inputs.get("desiredCount"))
    vcpu = product(count, number(inputs.get("cpu")), 1 / _CPU_UNITS)
    yield Quantity("fargate-vcpu", "Fargate vCPU", "vCPU", HOUR, vcpu)
    memory = product(count, number(inputs.get("memory")), 1 / _MIB)
    yield Quantity("fargate-memory", "Fargate memory", "GB", HOUR, memory)
    disk = inputs.get("ephemeralStorage")
    if isinstance(disk, Mapping) and (size := number(disk.get("sizeInGib"))) is not None:
        more = product(count, max(0, size - _INCLUDED_GIB))
        yield Quantity("fargate-disk", f"Fargate disk beyond {_INCLUDED_GIB} GiB a task", "GiB", HOUR, more)
    network = inputs.get("networkConfiguration")
    if isinstance(network, Mapping) and network.get("assignPublicIp") is True:
        yield Quantity(*ADDRESS, count)


TASK: Final = "aws:ecs/taskDefinition:TaskDefinition"
BILLING: Final[Mapping[str, Billing]] = {
    "aws:ecs/service:Service": Billing(
        counted=_billed,
        runs=(TASK, "-server"),
        by_use=("data out of the region and between zones", "one-shot tasks", "images kept in their registry"),
    ),
    "aws:ecs/cluster:Cluster": Billing(by_use=("Container Insights' custom metrics",)),
    "aws:appautoscaling/policy:Policy": Billing(
        counted=one("alarm", "CloudWatch alarm", "alarm", MONTH, _ALARMS_OF_A_POLICY)
    ),
}
