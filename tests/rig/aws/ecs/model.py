"""What ECS knows of services, deployments and tasks, as plain values and their spelling in ECS's API."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tests.rig.aws.server import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.processes import Container

LIVE = ("PROVISIONING", "PENDING", "ACTIVATING", "RUNNING")


def now() -> datetime:
    """Return the present, as ECS dates things."""
    return datetime.now(UTC)


def arn(resource: str) -> str:
    """Return the ARN of something in ECS."""
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:{resource}"


@dataclass(eq=False, kw_only=True)
class Deployment:
    """One attempt of a service to run one task definition. `source` is the one that was in force before."""

    service: Service
    task_definition: str
    source: Deployment | None
    id: str = field(default_factory=lambda: f"ecs-svc/{uuid.uuid4().int % 10**19:019d}")
    number: str = field(default_factory=lambda: uuid.uuid4().hex[:21])
    created: datetime = field(default_factory=now)
    finished: datetime | None = None
    rollout: str = "IN_PROGRESS"
    reason: str = ""
    # What DescribeServiceDeployments says; a rollback is the same service deployment there.
    status: str = "IN_PROGRESS"
    failed: int = 0
    rolls_back: Deployment | None = None

    @property
    def arn(self) -> str:
        """Its ARN as a service deployment; a rollback has the one of what it rolls back."""
        return (self.rolls_back or self)._own_arn("service-deployment")

    def _own_arn(self, kind: str) -> str:
        return arn(f"{kind}/{self.service.cluster}/{self.service.name}/{self.number}")

    def document(self) -> dict[str, Any]:
        """Return it as DescribeServices does."""
        tasks = [each for each in self.service.tasks if each.deployment is self]
        running = [each for each in tasks if each.status in {"RUNNING", "DEACTIVATING"}]
        pending = [each for each in tasks if each.status in LIVE and each.status != "RUNNING"]
        primary = self is self.service.primary
        return {
            "id": self.id,
            "status": "PRIMARY" if primary else "ACTIVE",
            "taskDefinition": self.task_definition,
            "desiredCount": self.service.desired if primary else 0,
            "pendingCount": len(pending),
            "runningCount": len(running),
            "failedTasks": self.failed,
            "createdAt": self.created,
            "updatedAt": self.finished or self.created,
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "platformFamily": "Linux",
            "networkConfiguration": self.service.settings["networkConfiguration"],
            "rolloutState": self.rollout,
            "rolloutStateReason": self.reason or f"ECS deployment {self.id} in progress.",
        }

    def service_deployment(self) -> dict[str, Any]:
        """Return it as DescribeServiceDeployments does."""
        before = self.source
        return {
            "serviceDeploymentArn": self.arn,
            "serviceArn": self.service.arn,
            "clusterArn": arn(f"cluster/{self.service.cluster}"),
            "createdAt": self.created,
            "startedAt": self.created,
            "updatedAt": self.finished or self.created,
            **({"finishedAt": self.finished} if self.finished else {}),
            "targetServiceRevision": self._revision(self),
            "sourceServiceRevisions": [self._revision(before)] if before else [],
            "status": self.status,
            "statusReason": self.reason,
        }

    def _revision(self, which: Deployment) -> dict[str, Any]:
        document = which.document()
        return {
            "arn": which._own_arn("service-revision"),
            "requestedTaskCount": document["desiredCount"],
            "runningTaskCount": document["runningCount"],
            "pendingTaskCount": document["pendingCount"],
        }


@dataclass(eq=False, kw_only=True)
class Service:
    """One service. `settings` are the request's own, by ECS's names."""

    cluster: str
    name: str
    task_definition: str
    desired: int
    settings: dict[str, Any]
    created: datetime = field(default_factory=now)
    status: str = "ACTIVE"
    deployments: list[Deployment] = field(default_factory=list)
    """Newest first; those that are over and have no task left are dropped."""
    history: list[Deployment] = field(default_factory=list)
    tasks: list[Task] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    tags: list[dict[str, str]] = field(default_factory=list)
    launch_after: float = 0.0

    @property
    def arn(self) -> str:
        """Its ARN."""
        return arn(f"service/{self.cluster}/{self.name}")

    @property
    def primary(self) -> Deployment:
        """The deployment that ECS works towards."""
        return self.deployments[0]

    @property
    def configuration(self) -> Mapping[str, Any]:
        """How one deployment replaces another."""
        return self.settings.get("deploymentConfiguration") or {}

    def say(self, message: str) -> None:
        """Add an event; newest first, as ECS shows them."""
        self.events.insert(
            0, {"id": str(uuid.uuid4()), "createdAt": now(), "message": f"(service {self.name}) {message}"}
        )

    def document(self) -> dict[str, Any]:
        """Return it as DescribeServices does."""
        shown = [each.document() for each in self.deployments]
        copied = (
            "loadBalancers", "networkConfiguration", "healthCheckGracePeriodSeconds", "enableECSManagedTags",
            "propagateTags", "enableExecuteCommand", "availabilityZoneRebalancing",
        )  # fmt: skip
        return {
            "serviceArn": self.arn,
            "serviceName": self.name,
            "clusterArn": arn(f"cluster/{self.cluster}"),
            "status": self.status,
            "desiredCount": self.desired,
            "runningCount": sum(each["runningCount"] for each in shown),
            "pendingCount": sum(each["pendingCount"] for each in shown),
            "launchType": "FARGATE",
            "platformVersion": self.settings.get("platformVersion") or "LATEST",
            "platformFamily": "Linux",
            "taskDefinition": self.task_definition,
            "deploymentConfiguration": {"maximumPercent": 200, "minimumHealthyPercent": 100, **self.configuration},
            "deploymentController": {"type": "ECS"},
            "schedulingStrategy": "REPLICA",
            "serviceRegistries": [],
            "placementConstraints": [],
            "placementStrategy": [],
            "roleArn": f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/ecs.amazonaws.com/AWSServiceRoleForECS",
            "createdAt": self.created,
            "createdBy": f"arn:aws:iam::{ACCOUNT}:user/administrator",
            "deployments": shown,
            "events": self.events[:100],
            "tags": self.tags,
            **{key: self.settings[key] for key in copied if self.settings.get(key) is not None},
        }


@dataclass(eq=False, kw_only=True)
class Task:
    """One task, of a service or on its own. `definition` is moto's."""

    cluster: str
    definition: Any
    address: str
    network: Mapping[str, Any]
    service: Service | None = None
    deployment: Deployment | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    started_by: str = ""
    group: str = ""
    tags: list[dict[str, str]] = field(default_factory=list)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = "PROVISIONING"
    desired: str = "RUNNING"
    health: str = "UNKNOWN"
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    stopped: datetime | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    exit_code: int | None = None
    container_reason: str = ""
    container: Container | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    born: float = 0.0
    asked: int = 0
    """How often its health command was run."""
    counted: bool = False

    @property
    def arn(self) -> str:
        """Its ARN."""
        return arn(f"task/{self.cluster}/{self.id}")

    @property
    def container_definition(self) -> Mapping[str, Any]:
        """Its one container."""
        found: Mapping[str, Any] = self.definition.container_definitions[0]
        return found

    @property
    def live(self) -> bool:
        """Whether it runs or is about to, and nobody stops it."""
        return self.status in LIVE and not self.stopping.is_set()

    def stop(self, reason: str, code: str) -> None:
        """Tell it to stop; the first reason stands."""
        if not self.stopping.is_set() and self.status != "STOPPED":
            self.stopped_reason, self.stop_code, self.desired = reason, code, "STOPPED"
            self.stopping.set()

    def document(self) -> dict[str, Any]:
        """Return it as DescribeTasks does."""
        definition = self.container_definition
        container: dict[str, Any] = {
            "containerArn": arn(f"container/{self.cluster}/{self.id}/{self.id[:8]}"),
            "taskArn": self.arn,
            "name": definition["name"],
            "image": definition["image"],
            "lastStatus": self.status if self.status in {"RUNNING", "STOPPED"} else "PENDING",
            "healthStatus": self.health,
            "networkInterfaces": [{"attachmentId": self.id, "privateIpv4Address": self.address}],
            "cpu": str(definition.get("cpu") or 0),
        }
        if self.exit_code is not None:
            container["exitCode"] = self.exit_code
        if self.container_reason:
            container["reason"] = self.container_reason
        details = {"subnetId": self.network["subnets"][0], "privateIPv4Address": self.address}
        found: dict[str, Any] = {
            "taskArn": self.arn,
            "clusterArn": arn(f"cluster/{self.cluster}"),
            "taskDefinitionArn": self.definition.arn,
            "containers": [container],
            "lastStatus": self.status,
            "desiredStatus": self.desired,
            "healthStatus": self.health,
            "launchType": "FARGATE",
            "platformVersion": "1.4.0",
            "group": self.group,
            "startedBy": self.started_by,
            "createdAt": self.created,
            "cpu": self.definition.cpu,
            "memory": self.definition.memory,
            "overrides": dict(self.overrides),
            "tags": self.tags,
            "connectivity": "CONNECTED",
            "attachments": [
                {
                    "id": self.id,
                    "type": "ElasticNetworkInterface",
                    "status": "ATTACHED",
                    "details": [{"name": name, "value": value} for name, value in details.items()],
                }
            ],
        }
        dates = {"startedAt": self.started, "stoppedAt": self.stopped}
        found |= {key: value for key, value in dates.items() if value is not None}
        words = {"stopCode": self.stop_code, "stoppedReason": self.stopped_reason}
        return found | {key: value for key, value in words.items() if value}
