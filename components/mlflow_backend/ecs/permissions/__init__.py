"""What whoever previews, deploys, rolls back or pushes images may do with AWS, rendered from the settings. Pure."""

from mlflow_backend.aws.permissions.documents import policies, subjects, trust
from mlflow_backend.aws.permissions.grant import Grant, Purpose
from mlflow_backend.ecs.permissions.purposes import PulumiState, actions_of, grants, role_name

__all__ = [
    "Grant",
    "PulumiState",
    "Purpose",
    "actions_of",
    "grants",
    "policies",
    "role_name",
    "subjects",
    "trust",
]
