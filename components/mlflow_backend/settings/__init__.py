"""A stack's settings: the only reader of Pulumi's configuration.

`models` says which settings there are, `rules` what holds between them, `source` where the text comes from, `problems`
how a mistake is reported. Nothing here asks the platform anything; that a named thing exists is for preflight to find.
"""

from mlflow_backend.settings.aws import Aws
from mlflow_backend.settings.budget import ConnectionBudget, connection_budget
from mlflow_backend.settings.loading import from_pulumi, load, of_stack, refuse_broken
from mlflow_backend.settings.models import (
    Access,
    Artifacts,
    Backup,
    Cache,
    Database,
    ExtraCheck,
    Migrate,
    Monitoring,
    Network,
    ReleaseSettings,
    Scaling,
    Server,
    Settings,
    Verify,
)
from mlflow_backend.settings.policy import Policy, PolicyLevel, PolicyName
from mlflow_backend.settings.problems import Problem, SettingsError
from mlflow_backend.settings.schema_export import json_schema
from mlflow_backend.settings.source import ConfigSource, YamlSource

__all__ = [
    "Access",
    "Artifacts",
    "Aws",
    "Backup",
    "Cache",
    "ConfigSource",
    "ConnectionBudget",
    "Database",
    "ExtraCheck",
    "Migrate",
    "Monitoring",
    "Network",
    "Policy",
    "PolicyLevel",
    "PolicyName",
    "Problem",
    "ReleaseSettings",
    "Scaling",
    "Server",
    "Settings",
    "SettingsError",
    "Verify",
    "YamlSource",
    "connection_budget",
    "from_pulumi",
    "json_schema",
    "load",
    "of_stack",
    "refuse_broken",
]
