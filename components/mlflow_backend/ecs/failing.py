"""The tasks of a revision that fail while a command waits for it, each reported once, long before ECS gives up."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.ecs import deployments, reasons
from mlflow_backend.logged import without_passwords

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.ecs.deployments import TaskDefinitionId

# A failing task is reported within a minute of its exit code; ECS lists it as stopped from that on.
OBSERVE_EVERY_S: Final = 15.0
# ECS ends these itself because it needs fewer (Amazon ECS service event messages).
_SCALED: Final = "Scaling activity initiated by"

_log: Final = logging.getLogger(__name__)
# Without a handler of its own, Python writes a warning to the error output, which the engine prints during an update.
warn: Final = _log.warning


@dataclass(kw_only=True)
class FailingTasks:
    """What was reported so far during one wait."""

    clients: Clients
    cluster: str
    report: Callable[[str], None] = warn
    reported: set[str] = field(default_factory=set)
    observed: float = 0.0

    def observe(self, service: Mapping[str, Any], wanted: TaskDefinitionId, waited: float) -> None:
        """Report tasks of `wanted` that failed since the last call, if that was `OBSERVE_EVERY_S` seconds ago.

        `service` is as DescribeServices gave it, `waited` the seconds since the wait began.
        """
        if waited - self.observed < OBSERVE_EVERY_S:
            return
        self.observed = waited
        under_way = {
            str(each["id"])
            for each in service.get("deployments", [])
            if deployments.identify(each["taskDefinition"]) == wanted
        }
        name = str(service["serviceName"])
        for task in reasons.stopped_tasks(self.clients, cluster=self.cluster, service=name, wanted=wanted):
            arn = str(task["taskArn"])
            scaled = str(task.get("stoppedReason", "")).startswith(_SCALED)
            if arn in self.reported or task.get("startedBy") not in under_way or scaled:
                continue
            # The first one's log is enough: those that follow mostly end alike.
            log = [] if self.reported else reasons.last_log_lines(self.clients, task)
            self.reported.add(arn)
            words = [*reasons.of_task(task), *log]
            lines = "".join(f"\n  - {without_passwords(word)}" for word in words)
            self.report(f"A task of revision {wanted.number} failed; ECS goes on trying.{lines}")
