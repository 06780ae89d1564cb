"""The service scheduler: brings each service to what is asked of it, deployment by deployment."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Final

from moto.cloudwatch.models import cloudwatch_backends
from moto.ecs.models import ecs_backends

from tests.rig.aws.ecs.model import Deployment, Service, Task, now
from tests.rig.aws.ecs.scheduling import Counts, failures_allowed, step
from tests.rig.aws.server import ACCOUNT, REGION
from tests.rig.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.aws.ecs.runtime import Runtime
    from tests.rig.balancing import Balancers
    from tests.rig.loopback import Block

_TICK_S: Final = 0.05
# Between a failed task and the next try.
_RETRY_S: Final = 5
_STARTED = "Scaling activity initiated by (deployment {})"
_JOIN_S: Final = 60


class Controller:
    """All services and tasks. What is said about `lock`: whoever reads or changes them holds it."""

    def __init__(self, runtime: Runtime, balancers: Balancers, block: Block) -> None:
        """Begin to schedule."""
        self.lock = threading.RLock()
        self.services: dict[tuple[str, str], Service] = {}
        self.tasks: dict[str, Task] = {}
        self._runtime, self._balancers, self._block = runtime, balancers, block
        self._loop = Loop("ecs scheduler", self._look, pause_s=_TICK_S)

    def close(self) -> None:
        """Stop scheduling and end every task."""
        self._loop.stop()
        with self.lock:
            left = [task for task in self.tasks.values() if task.status != "STOPPED"]
        for task in left:
            task.stop("the rig is closed", "UserInitiated")
            if task.container is not None:
                task.container.kill()
        for task in left:
            if task.thread is not None:
                task.thread.join(_JOIN_S)
        self._loop.check()

    def live(self) -> list[Task]:
        """Return the tasks that have a process."""
        with self.lock:
            return [each for each in self.tasks.values() if each.container and each.container.exit_code is None]

    def deploy(self, service: Service, task_definition: str, *, rolls_back: Deployment | None = None) -> None:
        """Make a deployment the service's primary one."""
        before = service.deployments[0] if service.deployments else None
        made = Deployment(
            service=service, task_definition=task_definition, source=self._completed(service), rolls_back=rolls_back
        )
        if before is not None and before.rollout == "IN_PROGRESS":
            before.status, before.finished = "STOPPED", now()
        if rolls_back is not None:
            made.reason = f"ECS deployment circuit breaker: rolling back to deploymentId {made.id}."
            rolls_back.status = "ROLLBACK_IN_PROGRESS"
        service.task_definition = task_definition
        service.deployments.insert(0, made)
        service.history.insert(0, made)

    def stop_deployment(self, deployment: Deployment, *, roll_back: bool) -> None:
        """End a deployment as StopServiceDeployment does."""
        self._fail(deployment.service, deployment, "ECS deployment was stopped by StopServiceDeployment.", roll_back)

    def run(self, task: Task) -> None:
        """Start a task, of a service or on its own."""
        self.tasks[task.arn] = task
        self._runtime.start(task)

    def delete(self, service: Service) -> None:
        """Drain a service; it is gone when its last task is."""
        service.desired, service.status = 0, "DRAINING"

    def address(self) -> str:
        """Return a task's address."""
        return self._block.address()

    def _look(self) -> None:
        with self.lock:
            for service in list(self.services.values()):
                self._tick(service)

    def _tick(self, service: Service) -> None:
        if service.status == "INACTIVE":
            return
        primary = service.primary
        self._count_failures(service)
        self._replace_unhealthy(service)
        live = [task for task in service.tasks if task.live]
        new = [task for task in live if task.deployment is primary]
        old = [task for task in live if task.deployment is not primary]
        healthy = [task for task in new if self._healthy(task)]
        if self._given_up(service, primary):
            return
        wanted = step(
            Counts(
                desired=service.desired,
                new=len(new),
                new_healthy=len(healthy),
                old=len(old),
                minimum_percent=service.configuration.get("minimumHealthyPercent", 100),
                maximum_percent=service.configuration.get("maximumPercent", 200),
            )
        )
        if time.monotonic() >= service.launch_after and primary.rollout != "FAILED":
            for _ in range(wanted.start):
                self._launch(service, primary)
        self._stop(service, [*old[: wanted.stop_old], *new[: wanted.stop_new]], primary)
        self._settle(service, primary, healthy)

    def _launch(self, service: Service, deployment: Deployment) -> None:
        definition = ecs_backends[ACCOUNT][REGION].describe_task_definition(deployment.task_definition)
        task = Task(
            cluster=service.cluster,
            definition=definition,
            address=self.address(),
            network=service.settings["networkConfiguration"]["awsvpcConfiguration"],
            service=service,
            deployment=deployment,
            started_by=deployment.id,
            group=f"service:{service.name}",
            tags=list(service.tags) if service.settings.get("propagateTags") == "SERVICE" else [],
        )
        service.tasks.append(task)
        self.run(task)
        service.say(f"has started 1 tasks: (task {task.id}).")

    def _stop(self, service: Service, tasks: list[Task], primary: Deployment) -> None:
        for task in tasks:
            task.stop(_STARTED.format(primary.id), "ServiceSchedulerInitiated")
            service.say(f"has begun draining connections on 1 tasks: (task {task.id}).")

    def _count_failures(self, service: Service) -> None:
        for task in service.tasks:
            if task.status != "STOPPED" or task.counted:
                continue
            task.counted = True
            scheduled = task.stopped_reason.startswith("Scaling activity")
            if not scheduled and task.deployment is not None and task.deployment.rollout == "IN_PROGRESS":
                task.deployment.failed += 1
            if not scheduled:
                service.launch_after = time.monotonic() + self._runtime.clock.every(_RETRY_S)
            service.say(f"has stopped 1 running tasks: (task {task.id}).")

    def _replace_unhealthy(self, service: Service) -> None:
        grace = self._runtime.clock.within(service.settings.get("healthCheckGracePeriodSeconds") or 0)
        for task in service.tasks:
            if task.status != "RUNNING" or not task.live or time.monotonic() - task.born < grace:
                continue
            if task.health == "UNHEALTHY":
                task.stop("Task failed container health checks", "ServiceSchedulerInitiated")
                service.say(f"(task {task.id}) failed container health checks.")
            for group, port in self._groups(service):
                if self._balancers.health(group, task.address, port) == "unhealthy":
                    task.stop(f"Task failed ELB health checks in (target-group {group})", "ServiceSchedulerInitiated")
                    service.say(
                        f"(port {port}) is unhealthy in (target-group {group}) due to (reason Health checks failed)."
                    )

    def _given_up(self, service: Service, primary: Deployment) -> bool:
        if primary.rollout != "IN_PROGRESS":
            return False
        breaker = service.configuration.get("deploymentCircuitBreaker") or {}
        if breaker.get("enable") and primary.failed >= failures_allowed(service.desired):
            self._fail(
                service, primary, "ECS deployment circuit breaker: tasks failed to start.", breaker.get("rollback")
            )
            return True
        alarms = service.configuration.get("alarms") or {}
        if alarms.get("enable") and _alarmed(alarms):
            self._fail(service, primary, "ECS deployment failed: alarm detected.", alarms.get("rollback"))
            return True
        return False

    def _fail(self, service: Service, failed: Deployment, reason: str, roll_back: bool | None) -> None:  # noqa: FBT001
        failed.rollout, failed.reason, failed.finished = "FAILED", reason, now()
        service.say(f"(deployment {failed.id}) deployment failed: {reason.rpartition(': ')[2]}")
        good = self._completed(service)
        for task in service.tasks:
            if task.deployment is failed and task.live:
                task.stop(_STARTED.format(failed.id), "ServiceSchedulerInitiated")
        if roll_back and good is not None and failed.rolls_back is None:
            self.deploy(service, good.task_definition, rolls_back=failed)
            service.say(f"rolling back to deployment {service.primary.id}.")
        else:
            original = failed.rolls_back or failed
            original.status = "ROLLBACK_FAILED" if failed.rolls_back else "STOPPED"

    def _settle(self, service: Service, primary: Deployment, healthy: list[Task]) -> None:
        unended = [task for task in service.tasks if task.status != "STOPPED"]
        if service.status == "DRAINING" and not unended:
            service.status = "INACTIVE"
        old = [task for task in unended if task.deployment is not primary]
        service.deployments = [
            each for each in service.deployments if each is primary or any(task.deployment is each for task in unended)
        ]
        if primary.rollout == "IN_PROGRESS" and len(healthy) >= service.desired and not old:
            primary.rollout, primary.finished = "COMPLETED", now()
            if primary.rolls_back is None:
                primary.reason, primary.status = f"ECS deployment {primary.id} completed.", "SUCCESSFUL"
            else:
                primary.rolls_back.status, primary.rolls_back.finished = "ROLLBACK_SUCCESSFUL", now()
            service.say(f"(deployment {primary.id}) deployment completed.")
            service.say("has reached a steady state.")

    def _healthy(self, task: Task) -> bool:
        checked = bool(task.container_definition.get("healthCheck"))
        if task.status != "RUNNING" or (checked and task.health != "HEALTHY"):
            return False
        assert task.service is not None
        return all(
            self._balancers.health(group, task.address, port) == "healthy" for group, port in self._groups(task.service)
        )

    def _groups(self, service: Service) -> list[tuple[str, int]]:
        held = service.settings.get("loadBalancers") or []
        return [(each["targetGroupArn"], int(each["containerPort"])) for each in held]

    def _completed(self, service: Service) -> Deployment | None:
        return next((each for each in service.history if each.rollout == "COMPLETED"), None)


def _alarmed(alarms: Mapping[str, Any]) -> bool:
    held = cloudwatch_backends[ACCOUNT][REGION].alarms
    return any(held[name].state_value == "ALARM" for name in alarms.get("alarmNames") or [] if name in held)
