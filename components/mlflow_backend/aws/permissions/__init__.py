"""The AWS permissions of those who preview, deploy, roll back or push images, rendered from the settings. Pure."""

from mlflow_backend.aws.permissions.deployer import PulumiState, actions_of, role_name
from mlflow_backend.aws.permissions.documents import policies, subjects, trust
from mlflow_backend.aws.permissions.grant import Grant, Purpose
from mlflow_backend.aws.permissions.target import RolesOnAws

__all__ = ["Grant", "PulumiState", "Purpose", "RolesOnAws", "actions_of", "policies", "role_name", "subjects", "trust"]
