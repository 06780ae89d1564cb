"""Every type token of the project, as literals. Pure.

A token is part of each resource's URN: changing one makes Pulumi replace what it names. So a token that was ever
released stays here, in RETIRED, as an alias of its successor (CHANGELOG, 'State'), and a test pins the set.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LOCAL_BACKEND = "mlflow-backend:local:Backend"

ECS_BACKEND = "mlflow-backend:ecs:Backend"
ECS_NETWORK = "mlflow-backend:ecs:Network"
ECS_BALANCER = "mlflow-backend:ecs:Balancer"
ECS_STORAGE = "mlflow-backend:ecs:Storage"
ECS_DATABASE = "mlflow-backend:ecs:Database"
ECS_CACHE = "mlflow-backend:ecs:Cache"
ECS_IDENTITY = "mlflow-backend:ecs:Identity"
ECS_SERVICE = "mlflow-backend:ecs:Service"
ECS_MONITORING = "mlflow-backend:ecs:Monitoring"
ECS_PROTECTION = "mlflow-backend:ecs:Protection"

# Pulumi composes the token of a dynamic resource from its class's `module` and `name`; a test compares.
VERIFICATION = "pulumi-python:dynamic/mlflow-backend:Verification"
PREFLIGHT = "pulumi-python:dynamic/mlflow-backend:Preflight"
ECS_SERVER_SECRETS = "pulumi-python:dynamic/mlflow-backend:EcsServerSecrets"
ECS_API_KEYS = "pulumi-python:dynamic/mlflow-backend:EcsApiKeys"
ECS_CACHE_TOKEN = "pulumi-python:dynamic/mlflow-backend:EcsCacheToken"  # noqa: S105 - a type token
ECS_INSIGHTS_LOGS = "pulumi-python:dynamic/mlflow-backend:EcsInsightsLogs"
ECS_ROLLOUT = "pulumi-python:dynamic/mlflow-backend:EcsRollout"
MIGRATION = "pulumi-python:dynamic/mlflow-backend:Migration"
REENCRYPTION = "pulumi-python:dynamic/mlflow-backend:Reencryption"
LEDGER_ENTRY = "pulumi-python:dynamic/mlflow-backend:LedgerEntry"
HOLD = "pulumi-python:dynamic/mlflow-backend:Hold"
LOCAL_CREDENTIALS = "pulumi-python:dynamic/mlflow-backend:LocalCredentials"
LOCAL_SUPERVISOR = "pulumi-python:dynamic/mlflow-backend:LocalSupervisor"
LOCAL_SERVICE = "pulumi-python:dynamic/mlflow-backend:LocalService"
LOCAL_ENVIRONMENT = "pulumi-python:dynamic/mlflow-backend:LocalEnvironment"
LOCAL_SERVER = "pulumi-python:dynamic/mlflow-backend:LocalServer"

RETIRED: Mapping[str, str] = MappingProxyType({})
"""Former token -> the token that took its place."""
