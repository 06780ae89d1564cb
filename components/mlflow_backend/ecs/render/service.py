"""The service: how many tasks, how one deployment replaces another, and how the number moves by itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.settings.budget import most_replicas

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

# New tasks are added before old ones go: with one replica anything less than 200 % would be an interruption.
MINIMUM_PERCENT: Final = 100
MAXIMUM_PERCENT: Final = 200

# Out within a minute, in only after five: a task costs 11 CPU-seconds and up to half a minute to start.
SCALE_OUT_COOLDOWN_S: Final = 60
SCALE_IN_COOLDOWN_S: Final = 300


@dataclass(frozen=True, kw_only=True)
class ScalingPlan:
    """Between how many tasks autoscaling moves, and what it holds on average."""

    least: int
    most: int
    cpu_percent: int
    requests_per_replica: int

    @property
    def moves(self) -> bool:
        """Whether there is anything to scale."""
        return self.most > self.least


def scaling(settings: Settings) -> ScalingPlan:
    """Return how the number of tasks moves."""
    return ScalingPlan(
        least=settings.server.replicas,
        most=most_replicas(settings),
        cpu_percent=settings.aws.scaling.cpu_percent,
        requests_per_replica=settings.aws.scaling.requests_per_replica,
    )


def platform_may_roll_back(*, migrated: bool) -> bool:
    """Whether ECS may go back to the old revision by itself.

    Not where the schema was migrated since the release before: the old revision refuses the new schema and would
    restart for ever; then `migrate.onFailure` decides.
    """
    return not migrated
