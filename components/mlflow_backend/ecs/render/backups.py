"""What takes backups of a backend on ECS: a tool in the backend's store, a one-shot task, and its schedule. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.render import backups, policies
from mlflow_backend.aws.render.policies import ARTIFACTS
from mlflow_backend.aws.render.secrets import DATABASE_PASSWORD, SERVER_SECRETS
from mlflow_backend.backup import tool as packed
from mlflow_backend.backup.job import BackupJob, Bucket
from mlflow_backend.report.quantities import Billing
from mlflow_backend.schedules import NEVER
from mlflow_backend.server.login import VERIFICATION_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document, Store
    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.settings import Settings

BACKUP: Final = "backup"
SCHEDULER: Final = "scheduler"
"""Part whose role EventBridge Scheduler takes."""
DISK_GIB: Final = 200
"""Fargate's most (Amazon ECS developer guide, 'Fargate task ephemeral storage'): one sealed dump, or one artifact."""
# Of a start that failed, such as for want of capacity; the next day's backup is due anyway.
RETRIES: Final = 3
OLDEST_S: Final = 3600
SECRETS: Final = tuple(name for name in SERVER_SECRETS if name not in {DATABASE_PASSWORD, VERIFICATION_KEY})
"""What users and their data know a backend by; the others are between its own parts."""
BILLING: Final[Mapping[str, Billing]] = {
    "aws:scheduler/schedule:Schedule": Billing(
        by_use=("the tasks that take backups, and objects at their destination",)
    ),
}


def tool(settings: Settings, naming: Naming, store: Store) -> Tool:
    """Return the tool of a stack."""
    there = backups.destination(settings, naming.stack)
    wanted = BackupJob(
        target=settings.target,
        stack=naming.stack,
        store=Bucket(bucket=store.bucket, root=store.root, region=naming.region),
        artifacts=store.prefix(ARTIFACTS),
        destination=Bucket(bucket=there.bucket, root=there.root, region=naming.region),
        recovery_key=str(settings.backup.recovery_key),
    )
    return packed.tool(wanted, settings, cloud="aws")


def scheduled(settings: Settings) -> str | None:
    """Return the expression of the schedule; None if no backups are taken by themselves."""
    wanted = settings.backup
    return None if wanted.destination is None or wanted.schedule == NEVER else backups.expression(wanted.schedule)


def trust(naming: Naming) -> Document:
    """Let EventBridge Scheduler take the role for this account's schedules, and for nobody else's."""
    return policies.document({
        "Sid": "SchedulesOfThisAccount",
        "Effect": "Allow",
        "Principal": {"Service": "scheduler.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": naming.account},
            "ArnLike": {"aws:SourceArn": naming.arn("scheduler", "schedule*/*")},
        },
    })  # fmt: skip


def scheduler(naming: Naming) -> Document:
    """What EventBridge Scheduler may do: start this one task on this one cluster, with exactly its two roles."""
    return policies.document(
        {
            "Sid": "StartBackup",
            "Effect": "Allow",
            "Action": "ecs:RunTask",
            "Resource": naming.arn("ecs", f"task-definition/{naming.family(BACKUP)}:*"),
            "Condition": {"ArnEquals": {"ecs:cluster": naming.arn("ecs", f"cluster/{naming.cluster()}")}},
        },
        {
            "Sid": "GiveItItsRoles",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": [naming.role_arn(BACKUP), naming.role_arn(f"{BACKUP}-execution")],
            "Condition": {"StringEquals": {"iam:PassedToService": f"ecs-tasks.{naming.domain}"}},
        },
    )


def schedule(  # noqa: PLR0913 - what a schedule starts, by name
    naming: Naming,
    expression: str,
    *,
    cluster: Any,
    role: Any,
    definition: Any,
    network: dict[str, Any],
) -> dict[str, Any]:
    """Return the arguments of the schedule; ARNs of cluster, role and task definition may be outputs."""
    return {
        "name": naming.schedule(BACKUP),
        "schedule_expression": expression,
        "schedule_expression_timezone": "UTC",
        "flexible_time_window": {"mode": "OFF"},
        "target": {
            "arn": cluster,
            "role_arn": role,
            "ecs_parameters": {
                "task_definition_arn": definition,
                "launch_type": "FARGATE",
                "task_count": 1,
                "network_configuration": network,
            },
            "retry_policy": {"maximum_event_age_in_seconds": OLDEST_S, "maximum_retry_attempts": RETRIES},
        },
    }
