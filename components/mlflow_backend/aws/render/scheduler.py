"""EventBridge Scheduler: schedules that start one-shot tasks of ECS, and the role that it takes for them. Pure."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cronsim import CronSim

from mlflow_backend.aws.render import policies
from mlflow_backend.report.quantities import Billing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document

SCHEDULER: Final = "scheduler"
"""Part whose role EventBridge Scheduler takes."""
# Of a start that failed, such as for want of capacity; the next one is due anyway.
RETRIES: Final = 3
OLDEST_S: Final = 3600
BILLING: Final[Mapping[str, Billing]] = {
    "aws:scheduler/schedule:Schedule": Billing(
        by_use=("the tasks that it starts, and objects at the destination of backups",)
    ),
}
_DAYS: Final = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")


def expression(schedule: str) -> str | None:
    """Return a schedule of cron as EventBridge Scheduler takes it; None for one that it cannot say.

    It has a sixth field, the year, and counts the days of the week from 1, so they are named here. It takes a day of
    the month or of the week, and not both (EventBridge Scheduler user guide, 'Cron-based schedules').
    """
    days, weekdays = schedule.split()[2], schedule.split()[4]
    if "*" not in {days, weekdays}:
        return None
    found = CronSim(schedule, datetime(2024, 1, 1, tzinfo=UTC))
    times = [_listed(found.minutes, 60), _listed(found.hours, 24)]
    months = _listed(found.months, 12)
    if weekdays == "*":
        return f"cron({' '.join([*times, _listed(found.days, 31), months, '?', '*'])})"
    named = ",".join(_DAYS[day] for day in sorted({int(str(day)) % 7 for day in found.weekdays}))
    return f"cron({' '.join([*times, '?', months, named, '*'])})"


def _listed(numbers: set[int], every: int) -> str:
    return "*" if len(numbers) == every else ",".join(map(str, sorted(numbers)))


def trust(naming: Naming) -> Document:
    """Let EventBridge Scheduler take the role for this account's schedules, and for nobody else's."""
    source = naming.arn("scheduler", "schedule*/*")
    return policies.service_trust(naming, "scheduler", sid="SchedulesOfThisAccount", source=source)


def starter(naming: Naming, parts: Sequence[str]) -> Document:
    """What EventBridge Scheduler may do: start these tasks on this one cluster, with exactly their roles."""
    return policies.document(
        {
            "Sid": "StartTasks",
            "Effect": "Allow",
            "Action": "ecs:RunTask",
            "Resource": [naming.arn("ecs", f"task-definition/{naming.family(part)}:*") for part in parts],
            "Condition": {"ArnEquals": {"ecs:cluster": naming.arn("ecs", f"cluster/{naming.cluster()}")}},
        },
        {
            "Sid": "GiveThemTheirRoles",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": [naming.role_arn(role) for part in parts for role in (part, f"{part}-execution")],
            "Condition": {"StringEquals": {"iam:PassedToService": f"ecs-tasks.{naming.domain}"}},
        },
    )


def schedule(  # noqa: PLR0913 - what a schedule starts, by name
    naming: Naming,
    part: str,
    expression: str,
    *,
    cluster: Any,
    role: Any,
    definition: Any,
    network: dict[str, Any],
    command: Any,
) -> dict[str, Any]:
    """Return the arguments of a schedule; ARNs of cluster, role and task definition, and `command` may be outputs.

    `command` is what the task's one container, called as `part`, runs; it is a text (`override`).
    """
    return {
        "name": naming.schedule(part),
        "schedule_expression": expression,
        "schedule_expression_timezone": "UTC",
        "flexible_time_window": {"mode": "OFF"},
        "target": {
            "arn": cluster,
            "role_arn": role,
            "input": command,
            "ecs_parameters": {
                "task_definition_arn": definition,
                "launch_type": "FARGATE",
                "task_count": 1,
                "network_configuration": network,
            },
            "retry_policy": {"maximum_event_age_in_seconds": OLDEST_S, "maximum_retry_attempts": RETRIES},
        },
    }


def override(part: str, command: Sequence[str]) -> str:
    """Return what RunTask takes for another command of a container."""
    return json.dumps({"containerOverrides": [{"name": part, "command": list(command)}]})
