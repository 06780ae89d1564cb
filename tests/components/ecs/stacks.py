"""Stacks under test: the two that ship, and variants of them by the settings that differ."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.cache import cache_address
from mlflow_backend.aws.render.database import database_address
from mlflow_backend.aws.render.policies import S3Root
from mlflow_backend.aws.render.secrets import IN_FORCE, SecretSource
from mlflow_backend.ecs.render import tasks
from mlflow_backend.ecs.render.policies import BACKUP_ROLES, ROLES
from mlflow_backend.ecs.render.tasks import TaskDependencies
from mlflow_backend.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[3]
ACCOUNT, REGION = "123456789012", "eu-west-1"
DIGEST = f"sha256:{'a' * 64}"
IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/mlflow-backend@{DIGEST}"

ADOPTED: dict[str, dict[str, Any]] = {
    "network": {"mode": "adopt", "existing": "vpc-0123"},
    "database": {"mode": "adopt", "existing": "postgresql://db.example.com:6432/tracking", "maxConnections": 850},
    "cache": {"mode": "adopt", "existing": "rediss://cache.example.com:6380"},
    "artifacts": {"mode": "adopt", "existing": "s3://team-bucket/ml/flow"},
    "aws": {
        "network": {
            "zones": None, "egress": None, "internal": True, "certificate": None,
            "privateSubnets": ["subnet-1", "subnet-2"],
        },
        "database": {
            "instanceClass": None, "storage": None, "maxStorage": None, "multiAz": None,
            "secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:team/db-AbCdEf", "securityGroup": "sg-0db",
        },
        "cache": {
            "nodeType": None, "replicas": None,
            "secret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:team/cache-AbCdEf", "securityGroup": "sg-0ca",
        },
        "artifacts": {"key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/team"},
        "monitoring": {"topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:team-alarms"},
    },
}  # fmt: skip
"""Everything adopted, to be merged over a stack file; None removes a key."""

VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "dev": ("dev", {}),
    "staging": ("staging", {}),
    "adopted": ("staging", {**ADOPTED, "network": {**ADOPTED["network"], "publicUrl": None}}),
    "internal": (
        "staging",
        {"aws": {"network": {"internal": True}}, "verify": {"schedule": "30 * * * *"}},
    ),
    "arm64": ("staging", {"aws": {"architecture": "ARM64"}}),
    "endpoints": ("staging", {"aws": {"network": {"egress": "endpoints"}}}),
    "single-nat": ("staging", {"aws": {"network": {"egress": "nat", "zones": 2}}}),
    "jobs": ("staging", {"server": {"jobs": True, "memory": 8192}, "database": {"poolSize": 3, "maxOverflow": 2}}),
    "token": ("staging", {"access": {"mode": "token", "requestsPerMinute": 600}}),
    "private-registry": (
        "staging",
        {
            "server": {"image": f"registry.example.com/team/mlflow@sha256:{'1' * 64}"},
            "aws": {"registrySecret": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:team/registry-AbCdEf"},
        },
    ),
    "old-mlflow": (
        "staging",
        {"server": {"mlflowVersion": "2.9.2"}, "database": {"poolSize": 3, "maxOverflow": 2}},
    ),
    "everything": (
        "staging",
        {
            "aws": {
                "permissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
                "artifacts": {"accessLogs": True},
                "network": {"hostedZone": "Z0123456789"},
                "monitoring": {"email": "team@example.com"},
            },
            "backup": {
                "destination": "s3://elsewhere/team",
                "recoveryKey": "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
            },
            "maintain": {"schedule": "0 3 * * 0", "keepDeletedDays": 7},
        },
    ),
}
"""Variant -> the stack file it comes from, and what is merged over it."""


def settings_of(variant: str) -> Settings:
    """Return the settings of a variant."""
    stack, changes = VARIANTS[variant]
    return changed(stack, changes)


def changed(stack: str, changes: dict[str, Any]) -> Settings:
    """Return the settings of a stack that ships, with changes merged over them."""
    config = yaml.safe_load((ROOT / f"Pulumi.{stack}.yaml").read_text(encoding="utf-8"))["config"]
    document = {key.removeprefix("mlflow-backend:"): value for key, value in config.items()}
    merged = _merged(document, changes)
    return load({key: value if isinstance(value, str) else json.dumps(value) for key, value in merged.items()})


def naming_of(variant: str, *, region: str = REGION, account: str = ACCOUNT) -> Naming:
    """Return where a variant is."""
    return Naming(project="mlflow-backend", stack=variant, account=account, region=region)


def secret_arn(naming: Naming, part: str) -> str:
    """Return a secret's ARN as AWS would draw it."""
    return naming.arn("secretsmanager", f"secret:{naming.secret(part)}-AbCdEf")


def store_of(variant: str) -> S3Root:
    """Return a variant's bucket, with the key that would have been made for it."""
    naming = naming_of(variant)
    found = storage.store(settings_of(variant), naming)
    key = found.key_arn or naming.arn("kms", "key/11111111-2222-3333-4444-555555555555")
    return S3Root(bucket=found.bucket, root=found.root, key_arn=key)


def drawn_of(variant: str, settings: Settings | None = None) -> TaskDependencies:
    """Return what AWS would give a variant's tasks, among them a role for a verification."""
    settings, naming = settings or settings_of(variant), naming_of(variant)
    return TaskDependencies(
        image=IMAGE,
        url=settings.network.public_url or f"http://internal-{variant}.{REGION}.elb.amazonaws.com",
        database=database_address(settings, f"{variant}.rds.amazonaws.com", 5432),
        cache=cache_address(settings, f"{variant}.cache.amazonaws.com", 6379),
        store=store_of(variant),
        server_secret=SecretSource(arn=secret_arn(naming, "server"), key="", version="v-1", stage=IN_FORCE),
        cache_secret=SecretSource(arn=secret_arn(naming, "cache"), key="url", version="v-2"),
        admin_secret=naming.arn("secretsmanager", "secret:rds!db-1-AbCdEf"),
        api_keys=secret_arn(naming, "api-keys"),
        roles={part: naming.role_arn(part) for part in (*ROLES, *BACKUP_ROLES)},
    )


def tasks_of(
    variant: str, *, settings: Settings | None = None, drawn: TaskDependencies | None = None
) -> dict[str, dict[str, Any]]:
    """Return a variant's task definitions, that of a verification among them."""
    settings, naming = settings or settings_of(variant), naming_of(variant)
    drawn = drawn or drawn_of(variant, settings)
    return tasks.definitions(settings, naming, drawn, release=tasks.release_identity(settings, naming))


def container_of(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task's container definition."""
    (found,) = json.loads(task["container_definitions"])
    return dict(found)


def request_of(task: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task definition as ECS's own API takes it (RegisterTaskDefinition)."""
    found = {
        "family": task["family"],
        "networkMode": task["network_mode"],
        "requiresCompatibilities": list(task["requires_compatibilities"]),
        "cpu": task["cpu"],
        "memory": task["memory"],
        "runtimePlatform": {
            "cpuArchitecture": task["runtime_platform"]["cpu_architecture"],
            "operatingSystemFamily": task["runtime_platform"]["operating_system_family"],
        },
        "executionRoleArn": task["execution_role_arn"],
        "taskRoleArn": task["task_role_arn"],
        "containerDefinitions": json.loads(task["container_definitions"]),
        "volumes": list(task["volumes"]),
    }
    if task["ephemeral_storage"] is not None:
        found["ephemeralStorage"] = {"sizeInGiB": task["ephemeral_storage"]["size_in_gib"]}
    return found


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    found = dict(base)
    for key, value in over.items():
        if isinstance(value, dict):
            found[key] = _merged(found.get(key) or {}, value)
        elif value is None:
            found.pop(key, None)
        else:
            found[key] = value
    return found
