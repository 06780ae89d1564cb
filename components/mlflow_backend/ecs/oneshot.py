"""A task that does one thing in the backend's network and ends: started, waited for, its words read from the log."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.ecs import reasons
from mlflow_backend.one_shot import Seen, await_end, whole_log
from mlflow_backend.pace import Pace
from mlflow_backend.target import Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.ecs.locator import EcsLocator

_STOPPED: Final = "STOPPED"
# What ECS calls a task that has a container running, or had one (Amazon ECS developer guide, task lifecycle).
_BEGUN: Final = frozenset({"RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", _STOPPED})
# A started task is not always found at once by DescribeTasks.
_LAG_S: Final = 30.0
# CloudWatch Logs shows an event some seconds after it was written.
_LOG_LAG_S: Final = 20.0
_PAUSE_S: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class Network:
    """Where one-shot tasks run: as the server's neighbours, in security groups of their own."""

    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    public_address: bool

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Network:
        """Return where the tasks of a service run, by its `awsvpcConfiguration`."""
        return cls(
            subnets=tuple(configuration["subnets"]),
            security_groups=tuple(configuration.get("securityGroups", [])),
            public_address=configuration.get("assignPublicIp") == "ENABLED",
        )

    def configuration(self) -> dict[str, Any]:
        """Return it as RunTask takes it."""
        return {
            "awsvpcConfiguration": {
                "subnets": list(self.subnets),
                "securityGroups": list(self.security_groups),
                "assignPublicIp": "ENABLED" if self.public_address else "DISABLED",
            }
        }


@dataclass(kw_only=True)
class EcsTask:
    """A task definition that is run once, with a command of its own; `container` is the one whose end counts."""

    clients: Clients
    cluster: str
    task_definition: str
    container: str
    network: Network
    pace: Pace = field(default_factory=lambda: Pace(poll_s=_PAUSE_S))

    @classmethod
    def of(cls, clients: Clients, locator: EcsLocator, part: str, definition: str = "", /, **more: Any) -> Self:
        """Return a task of a part of a backend, by its newest definition if none is named."""
        return cls(
            clients=clients,
            cluster=locator.service.cluster,
            task_definition=definition or locator.family(part),
            container=part,
            network=locator.network,
            **more,
        )

    def own_command(self) -> tuple[str, ...]:
        """Return the command that the task's definition names."""
        found = self.clients.ecs.describe_task_definition(taskDefinition=self.task_definition)["taskDefinition"]
        (container,) = found["containerDefinitions"]
        return tuple(container["command"])

    def run(
        self, command: Sequence[str], *, deadline_s: float, complete: Callable[[Sequence[str]], bool] = lambda _: True
    ) -> Finished:
        """Run `command` once and wait for its container's end, at most `deadline_s` seconds from when it runs.

        Fargate has START_S to start it. What has not started or ended in time is stopped. The end is the container's
        exit code: Fargate takes up to a minute more to call the task stopped. `complete` says whether the log has all
        that is wanted of it: its last lines may come after the task's end.

        Raises PlatformFailed.
        """
        arn, began = self._start(command), self.pace.clock()

        def look() -> Seen[Mapping[str, Any]]:
            task = self._described(arn)
            if task is None:
                if self.pace.clock() - began > _LAG_S:
                    raise PlatformFailed(f"the task {arn} was started and cannot be found", code="task-lost")
                return Seen(begun=False)
            return Seen(begun=task["lastStatus"] in _BEGUN, ended=task if self._ended(task) else None)

        ended = await_end(look, pace=self.pace, deadline_s=deadline_s, overdue=partial(self._stopped, arn))
        return self._finished(ended, complete)

    def _stopped(self, arn: str, why: str) -> PlatformFailed:
        """Stop a task, and return the error that says why."""
        self.clients.ecs.stop_task(cluster=self.cluster, task=arn, reason="its deadline has passed")
        return PlatformFailed(f"the task {arn} {why} and was stopped", code="task-overdue")

    def _ended(self, task: Mapping[str, Any]) -> bool:
        container = self._container(task)
        over = task["lastStatus"] in _BEGUN - {"RUNNING"} and container.get("lastStatus") == _STOPPED
        return "exitCode" in container or over or task["lastStatus"] == _STOPPED

    def _container(self, task: Mapping[str, Any]) -> Mapping[str, Any]:
        containers: list[Mapping[str, Any]] = task.get("containers", [])
        return next((each for each in containers if each.get("name") == self.container), {})

    def _start(self, command: Sequence[str]) -> str:
        answer = self.clients.ecs.run_task(
            cluster=self.cluster,
            taskDefinition=self.task_definition,
            launchType="FARGATE",
            count=1,
            # boto3 repeats a call whose answer was lost; with a token of its own it starts no second writer.
            clientToken=uuid.uuid4().hex,
            networkConfiguration=self.network.configuration(),  # type: ignore[arg-type]
            overrides={"containerOverrides": [{"name": self.container, "command": list(command)}]},
        )
        if failures := answer.get("failures"):
            words = "; ".join(
                f"{each.get('reason', 'no reason')} {each.get('detail', '')}".strip() for each in failures
            )
            raise PlatformFailed(f"ECS did not start the task: {words}", code="task-not-started")
        return str(answer["tasks"][0]["taskArn"])

    def _described(self, arn: str) -> Mapping[str, Any] | None:
        answer = self.clients.ecs.describe_tasks(cluster=self.cluster, tasks=[arn])
        return dict(answer["tasks"][0]) if answer["tasks"] else None

    def _finished(self, task: Mapping[str, Any], complete: Callable[[Sequence[str]], bool]) -> Finished:
        container = self._container(task)
        words = [task.get("stoppedReason", ""), container.get("reason", "")]
        wanted = complete if "exitCode" in container else lambda _: True
        return Finished(
            exit_code=container.get("exitCode"),
            lines=whole_log(lambda: self._lines(task), wanted, pace=self.pace, lag_s=_LOG_LAG_S),
            reasons=tuple(word for word in words if word),
        )

    def _lines(self, task: Mapping[str, Any]) -> Iterator[str]:
        if (found := reasons.log_address(self.clients, task, self.container)) is not None:
            group, stream = found
            yield from group.whole(stream)
