"""The last lines that a backend's tasks wrote, from CloudWatch Logs: its servers', or its one-shot tasks'.

ECS lists the tasks that run and, for an hour or so, those that ended. Older ones are found by their streams,
newest event first: that order is only brought up to date within the hour (CloudWatch Logs API, DescribeLogStreams), so
it is not asked about what ECS still knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.ecs import reasons
from mlflow_backend.ecs.render.tasks import ONE_SHOTS, SERVER
from mlflow_backend.logged import without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.aws.log_group import LogGroup
    from mlflow_backend.ecs.locator import EcsLocator

PARTS: Final = (SERVER, *ONE_SHOTS)

AUDIT_DAYS: Final = 90
"""How far back the audit is read: CloudWatch looks through every line of that time."""

TASKS: Final = 3
"""Of each part: those that run, then the last that ended."""


@dataclass(frozen=True, kw_only=True)
class EcsLogs:
    """The logs of one backend."""

    clients: Clients
    locator: EcsLocator

    def tails(self, part: str, *, lines: int) -> Iterator[str]:
        """Return the last lines of a part's last tasks, or that there are none."""
        texts = list(self._tasks(part, lines=lines))
        yield from texts or [f"{part}: no task has run, or its lines have expired"]

    def _tasks(self, part: str, *, lines: int) -> Iterator[str]:
        """Give the last lines of a part's last tasks, those that run first, then the newest; none if none logged."""
        if (streams := self._streams(part)) is None:
            return
        group, prefix = streams
        states = self._known_to_ecs(self.locator.family(part))
        for task in group.newest_streams(prefix) if len(states) < TASKS else ():
            states.setdefault(task, "ended longer ago than ECS remembers")
        for task, state in list(states.items())[:TASKS]:
            found = group.last(f"{prefix}{task}", lines=lines)
            yield without_passwords("\n".join([f"{part} {task}: {state} ({group.name})", *found]))

    def audit(self) -> Iterator[str]:
        """Give lines of the last AUDIT_DAYS with the word audit in them; nothing if no server ever logged."""
        if (streams := self._streams(SERVER)) is not None:
            group, prefix = streams
            yield from group.with_word("audit", prefix=prefix, days=AUDIT_DAYS)

    def _streams(self, part: str) -> tuple[LogGroup, str] | None:
        family = self.locator.family(part)
        try:
            return reasons.log_streams(self.clients, family, part) if family else None
        except self.clients.ecs.exceptions.ClientException:
            # A task that verifies belongs to an internal balancer or a schedule.
            return None

    def _known_to_ecs(self, family: str) -> dict[str, str]:
        """Return the state of each task that ECS still knows, in the order in which they are shown."""
        states: dict[str, str] = {}
        for status in reasons.STATES:
            found = reasons.known_tasks(self.clients, self.locator.service.cluster, status, family=family)
            newest_first = sorted(found, key=lambda task: str(task.get("createdAt", "")), reverse=True)
            states |= {reasons.task_id(task): _state(task) for task in newest_first}
        return states


def _state(task: Mapping[str, Any]) -> str:
    reason = task.get("stoppedReason", "")
    return f"{str(task['lastStatus']).lower()}{f', {reason}' if reason else ''}"
