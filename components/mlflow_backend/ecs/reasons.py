"""The platform's own words on why a revision does not serve: stopped tasks, service events, last log lines.

Log lines are a server's own and may hold a URL with a password; those are blanked before anybody sees them.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final, Literal

from mlflow_backend.aws.log_group import LogGroup
from mlflow_backend.logged import without_passwords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.ecs.deployments import TaskDefinitionId

State = Literal["RUNNING", "STOPPED"]
STATES: Final[tuple[State, ...]] = ("RUNNING", "STOPPED")
LOG_LINES: Final = 15
_EVENTS: Final = 5
_TASKS: Final = 100
_LOGS: Final = 5
# Of a task that ended by itself (Amazon ECS API reference, Task, stopCode).
_OWN_END: Final = "EssentialContainerExited"


def gather(
    clients: Clients, *, cluster: str, service: Mapping[str, Any], wanted: TaskDefinitionId, since: datetime
) -> tuple[str, ...]:
    """Return why `wanted` does not serve, oldest first: its stopped tasks, the service's events, its last log lines."""
    stopped = stopped_tasks(clients, cluster=cluster, service=str(service["serviceName"]), wanted=wanted)
    words = [reason for task in stopped for reason in of_task(task)]
    words += _events(service, since)
    words += next(filter(None, (last_log_lines(clients, task) for task in _telling(stopped))), [])
    return tuple(dict.fromkeys(without_passwords(word) for word in words))


def last_log_lines(clients: Clients, task: Mapping[str, Any]) -> list[str]:
    """Return the last lines that a task's containers wrote, each with its container's name."""
    lines = []
    for container in task.get("containers", []):
        name = str(container.get("name", ""))
        found = log_address(clients, task, name)
        if found is not None:
            group, stream = found
            lines += [f"log of {name}: {line}" for line in group.last(stream, lines=LOG_LINES)]
    return lines


def log_address(clients: Clients, task: Mapping[str, Any], container: str) -> tuple[LogGroup, str] | None:
    """Return the log group and stream of one of a task's containers; None if it logs elsewhere."""
    streams = log_streams(clients, task["taskDefinitionArn"], container)
    return None if streams is None else (streams[0], streams[1] + task_id(task))


def log_streams(clients: Clients, definition: str, container: str) -> tuple[LogGroup, str] | None:
    """Return the log group of a container, and what its tasks' ids follow in their streams' names; None as above."""
    found = clients.ecs.describe_task_definition(taskDefinition=definition)["taskDefinition"]
    for each in found.get("containerDefinitions", []):
        options = each.get("logConfiguration", {}).get("options", {})
        if each.get("name") == container and {"awslogs-group", "awslogs-stream-prefix"} <= options.keys():
            group = LogGroup(client=clients.logs, name=options["awslogs-group"])
            return group, f"{options['awslogs-stream-prefix']}/{container}/"
    return None


def task_id(task: Mapping[str, Any]) -> str:
    """Return a task's id, the last part of its ARN."""
    return str(task["taskArn"]).rsplit("/", 1)[-1]


def known_tasks(clients: Clients, cluster: str, status: State, **of: str) -> list[Mapping[str, Any]]:
    """Return the tasks of a `family` or a `serviceName` that ECS knows: those that run, or ended within the hour."""
    found = clients.ecs.list_tasks(cluster=cluster, desiredStatus=status, maxResults=_TASKS, **of)  # type: ignore[arg-type]
    arns = found["taskArns"]
    return [*clients.ecs.describe_tasks(cluster=cluster, tasks=arns)["tasks"]] if arns else []


def stopped_tasks(clients: Clients, *, cluster: str, service: str, wanted: TaskDefinitionId) -> list[Mapping[str, Any]]:
    """Return the tasks of a revision that ended, or are about to, oldest first; ECS remembers them for an hour."""
    tasks = known_tasks(clients, cluster, "STOPPED", serviceName=service)
    own = [task for task in tasks if task["taskDefinitionArn"].endswith(f"/{wanted}")]
    return sorted(own, key=lambda task: str(task.get("stoppedAt") or task.get("createdAt") or ""))


def _telling(stopped: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the tasks whose log may show the cause, the likeliest first: one that ECS ended was still starting."""
    newest = [*reversed(stopped)]
    return sorted(newest, key=lambda task: task.get("stopCode") != _OWN_END)[:_LOGS]


def of_task(task: Mapping[str, Any]) -> list[str]:
    """Return why a task ended, in ECS's words and its containers' exit codes."""
    words = [f"task stopped: {task['stoppedReason']}"] if task.get("stoppedReason") else []
    for container in task.get("containers", []):
        name = container.get("name", "")
        if container.get("reason"):
            words.append(f"container {name}: {container['reason']}")
        if container.get("exitCode") not in {None, 0}:
            words.append(f"container {name} exited with code {container['exitCode']}")
    return words


def outcome_of(task: Mapping[str, Any]) -> str:
    """Return in a few words how a one-shot task went."""
    begun = f"{task['createdAt'].astimezone(UTC):%F %T}Z"
    if task["lastStatus"] != "STOPPED":
        return f"under way since {begun}"
    code = next((each.get("exitCode") for each in task.get("containers", [])), None)
    if code == 0:
        return f"done, begun {begun}"
    return f"failed, begun {begun} (exit code {code}): {task.get('stoppedReason', 'no reason')}"


def _events(service: Mapping[str, Any], since: datetime) -> list[str]:
    events: Sequence[Mapping[str, Any]] = service.get("events", [])
    recent = [event for event in events if event["createdAt"] >= since]
    return [str(event["message"]) for event in sorted(recent, key=lambda event: str(event["createdAt"]))][-_EVENTS:]
