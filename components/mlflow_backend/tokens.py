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
AWS_CLUSTER = "mlflow-backend:aws:Cluster"
AWS_NETWORK = "mlflow-backend:aws:Network"
AWS_BALANCER = "mlflow-backend:aws:Balancer"
AWS_STORAGE = "mlflow-backend:aws:Storage"
AWS_DATABASE = "mlflow-backend:aws:Database"
AWS_CACHE = "mlflow-backend:aws:Cache"
AWS_IDENTITY = "mlflow-backend:aws:Identity"
ECS_SERVICE = "mlflow-backend:ecs:Service"
AWS_MONITORING = "mlflow-backend:aws:Monitoring"
ECS_PROTECTION = "mlflow-backend:ecs:Protection"
KUBERNETES_BACKEND = "mlflow-backend:kubernetes:Backend"
EKS_BACKEND = "mlflow-backend:eks:Backend"
CLOUDRUN_BACKEND = "mlflow-backend:cloudrun:Backend"
GCP_NETWORK = "mlflow-backend:gcp:Network"
GCP_STORAGE = "mlflow-backend:gcp:Storage"
GCP_DATABASE = "mlflow-backend:gcp:Database"
GCP_CACHE = "mlflow-backend:gcp:Cache"
GCP_IDENTITY = "mlflow-backend:gcp:Identity"
GCP_MONITORING = "mlflow-backend:gcp:Monitoring"

# Pulumi composes the token of a dynamic resource from its class's `module` and `name`; a test compares.
VERIFICATION = "pulumi-python:dynamic/mlflow-backend:Verification"
PREFLIGHT = "pulumi-python:dynamic/mlflow-backend:Preflight"
AWS_SERVER_SECRETS = "pulumi-python:dynamic/mlflow-backend:AwsServerSecrets"
AWS_API_KEYS = "pulumi-python:dynamic/mlflow-backend:AwsApiKeys"
AWS_CACHE_TOKEN = "pulumi-python:dynamic/mlflow-backend:AwsCacheToken"  # noqa: S105 - a type token
AWS_INSIGHTS_LOGS = "pulumi-python:dynamic/mlflow-backend:AwsInsightsLogs"
KUBERNETES_SERVER_SECRETS = "pulumi-python:dynamic/mlflow-backend:KubernetesServerSecrets"
KUBERNETES_CLIENT_LOGIN = "pulumi-python:dynamic/mlflow-backend:KubernetesClientLogin"
KUBERNETES_CANDIDATE = "pulumi-python:dynamic/mlflow-backend:KubernetesCandidate"
KUBERNETES_STORES = "pulumi-python:dynamic/mlflow-backend:KubernetesStores"
KUBERNETES_ROLLOUT = "pulumi-python:dynamic/mlflow-backend:KubernetesRollout"
EKS_LOGIN = "pulumi-python:dynamic/mlflow-backend:EksLogin"
GCP_BACKUP_TOOL = "pulumi-python:dynamic/mlflow-backend:GcpBackupTool"
GCP_SERVER_SECRETS = "pulumi-python:dynamic/mlflow-backend:GcpServerSecrets"
CLOUDRUN_CANDIDATE = "pulumi-python:dynamic/mlflow-backend:CloudRunCandidate"
CLOUDRUN_ROLLOUT = "pulumi-python:dynamic/mlflow-backend:CloudRunRollout"
ECS_BACKUP_TOOL = "pulumi-python:dynamic/mlflow-backend:EcsBackupTool"
ECS_ROLLOUT = "pulumi-python:dynamic/mlflow-backend:EcsRollout"
MIGRATION = "pulumi-python:dynamic/mlflow-backend:Migration"
REENCRYPTION = "pulumi-python:dynamic/mlflow-backend:Reencryption"
USERS = "pulumi-python:dynamic/mlflow-backend:Users"
LEDGER_ENTRY = "pulumi-python:dynamic/mlflow-backend:LedgerEntry"
HOLD = "pulumi-python:dynamic/mlflow-backend:Hold"
LOCAL_CREDENTIALS = "pulumi-python:dynamic/mlflow-backend:LocalCredentials"
LOCAL_SUPERVISOR = "pulumi-python:dynamic/mlflow-backend:LocalSupervisor"
LOCAL_SERVICE = "pulumi-python:dynamic/mlflow-backend:LocalService"
LOCAL_ENVIRONMENT = "pulumi-python:dynamic/mlflow-backend:LocalEnvironment"
LOCAL_TIMER = "pulumi-python:dynamic/mlflow-backend:LocalTimer"
LOCAL_SERVER = "pulumi-python:dynamic/mlflow-backend:LocalServer"

RETIRED: Mapping[str, str] = MappingProxyType({})
"""Former token -> the token that replaced it."""
