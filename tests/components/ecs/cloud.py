"""The releases of a backend on ECS over recorded answers of AWS."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mlflow_backend.aws.clients import Clients, Connections
from mlflow_backend.aws.connection import Connection
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.ecs.locator import locator_of
from mlflow_backend.ecs.oneshot import Network
from mlflow_backend.ecs.platform import EcsPlatform
from mlflow_backend.server.environment import ACCESS_VARIABLE
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.stacks import naming_of, settings_of, store_of

NAMING = naming_of("staging")

LOCATOR = locator_of(
    settings_of("staging"),
    NAMING,
    Connection(NAMING.region),
    store=store_of("staging"),
    network=Network(subnets=("subnet-1", "subnet-2"), security_groups=("sg-1",), public_address=False),
    url="https://mlflow.staging.example.com",
    secret="arn:aws:secretsmanager:eu-west-1:1:secret:s-AbCdEf",
)

FAMILY = NAMING.family("database")


@dataclass
class Cloud:
    """Recorded AWS, and the releases of a backend on it."""

    ecs: Recorded = field(default_factory=lambda: Recorded("ecs"))
    logs: Recorded = field(default_factory=lambda: Recorded("logs"))
    scaling: Recorded = field(default_factory=lambda: Recorded("application-autoscaling"))
    s3: Recorded = field(default_factory=lambda: Recorded("s3"))

    def __post_init__(self) -> None:
        """An empty store, a free lock, a task of two MLflow versions."""
        self.s3.answers("ListObjectsV2", {}).answers("GetObject", "NoSuchKey")
        self.s3.answers("PutObject", {}).answers("DeleteObject", {})
        self.ecs.answers("DescribeTaskDefinition", definition(3, "3.17.2"))
        self.ecs.answers("RunTask", {"tasks": [{"taskArn": "arn:aws:ecs:r:1:task/c/abc"}], "failures": []})
        container = {"name": "database", "exitCode": 0}
        task = {
            "taskArn": "arn:aws:ecs:r:1:task/c/abc", "taskDefinitionArn": definition_arn(3), "lastStatus": "STOPPED",
            "containers": [container],
        }  # fmt: skip
        self.ecs.answers("DescribeTasks", {"tasks": [task]})

    def reports(self, report: dict[str, Any]) -> None:
        """Set what the database tool says."""
        lines = [{"message": line} for line in json.dumps(report, indent=2).splitlines()]
        self.logs.answers(
            "GetLogEvents",
            {"events": lines, "nextForwardToken": "1"},
            {"events": [], "nextForwardToken": "1"},
        )

    @property
    def releases(self) -> DeployedBackend:
        """What is under test."""
        clients = Clients(ecs=self.ecs.client, logs=self.logs.client)
        connections = Connections(clients=clients, scaling=self.scaling.client, store=self.s3.client)
        return DeployedBackend(EcsPlatform(LOCATOR, connections))


def definition_arn(number: int) -> str:
    """Return the ARN of a revision of the one-shot task."""
    return f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{FAMILY}:{number}"


def definition(number: int, version: str) -> dict[str, Any]:
    """Return an answer of DescribeTaskDefinition."""
    options = {"awslogs-group": "/g", "awslogs-stream-prefix": "database"}
    labels = {"mlflow-backend.mlflow-version": version, "mlflow-backend.settings": "h4sh"}
    container = {
        "name": "database", "image": "r/mlflow@sha256:abc", "dockerLabels": labels,
        "environment": [{"name": ACCESS_VARIABLE, "value": "basic"}],
        "logConfiguration": {"logDriver": "awslogs", "options": options},
    }  # fmt: skip
    return {
        "taskDefinition": {
            "taskDefinitionArn": definition_arn(number),
            "status": "ACTIVE",
            "containerDefinitions": [container],
        }
    }
