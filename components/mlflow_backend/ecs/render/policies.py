"""IAM documents of ECS's own: who may take a task's role, and what ECS does for a task. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.policies import allow, document, service_trust, through_service

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document

ROLES: Final = tuple(
    role for part in ("server", "tasks", "verify", "maintenance") for role in (part, f"{part}-execution")
)
"""The roles of the server, of the database's one-shot tasks, of verification and of maintenance."""
BACKUP_ROLES: Final = ("backup", "backup-execution", "scheduler")
"""The roles of the task that takes backups, and of what starts it."""


def tasks_trust(naming: Naming) -> Document:
    """Let ECS tasks of this account and region take a role; without the condition any account's could be confused."""
    return service_trust(naming, "ecs-tasks", sid="TasksOfThisAccount", source=naming.arn("ecs", "*"))


def execution(
    naming: Naming,
    *,
    secrets: Sequence[str],
    keys: Sequence[str],
    log_group: str,
    repository_arn: str | None,
) -> Document:
    """What ECS does for a task before and beside it: pull the image, write logs, read exactly its secrets.

    `secrets` and `keys` are ARNs: of the secrets that the task names, and of the KMS keys that encrypt them.
    `log_group` is the group's ARN. `repository_arn` is None for an image outside ECR.
    """
    pull = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
    return document(
        # The action knows no resource (service authorization reference, Amazon ECR).
        allow("AskForRegistryToken", "ecr:GetAuthorizationToken", "*") if repository_arn else None,
        allow("PullImage", pull, repository_arn) if repository_arn else None,
        allow("WriteOwnLogs", ("logs:CreateLogStream", "logs:PutLogEvents"), f"{log_group}:log-stream:*"),
        allow("ReadOwnSecrets", "secretsmanager:GetSecretValue", sorted(set(secrets))),
        through_service(naming, "secretsmanager", keys, ("kms:Decrypt",)),
    )
