"""The five verbs of the local target: list revisions, current, activate, wait, prune (contract.History)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused, Release, Revision, RevisionState, WaitOutcome
from mlflow_backend.local import revisions, switch
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Status, Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.local.revisions import Record

_POLL_S = 0.1


class LocalHistory:
    """The revisions of one local stack."""

    def __init__(self, state: StateDir) -> None:
        """Name the stack's folder; nothing is read yet."""
        self._state = state

    def revisions(self) -> Sequence[Revision]:
        """Return the revisions that are still there, newest first."""
        serving, statuses = revisions.active(self._state), Supervisor(self._state).statuses()
        return tuple(_describe(record, serving, statuses) for record in revisions.list_all(self._state))

    def current(self) -> Revision | None:
        """Return the revision that gets the traffic, None where there is none."""
        record = revisions.active(self._state)
        return None if record is None else _describe(record, record, Supervisor(self._state).statuses())

    def activate(self, revision: str) -> None:
        """Switch to an older or newer revision, and return when it serves.

        Raises Refused where it does not exist, PlatformFailed where it does not start.
        """
        known = {str(record.number): record for record in revisions.list_all(self._state)}
        if revision not in known:
            raise Refused(
                f"Revision {revision} does not exist.",
                code="local-revision-unknown",
                fix=f"Choose one of: {', '.join(known) or 'none'}.",
            )
        record = known[revision]
        switch.activate(self._state, record)

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until the revision serves, at most so many seconds; the reasons are its last log lines."""
        deadline = time.monotonic() + deadline_s
        supervisor = Supervisor(self._state)
        while time.monotonic() < deadline:
            if running_revision(self._state.path) == revision:
                return WaitOutcome(serving=True)
            time.sleep(_POLL_S)
        name = revisions.program_name(int(revision))
        return WaitOutcome(serving=False, reasons=tuple(supervisor.tail(name).splitlines()))

    def prune(self, *, retain: int, spared: frozenset[str]) -> Sequence[str]:
        """Drop all but the newest revisions, never the current one or a spared one; return what was dropped."""
        current = revisions.active(self._state)
        dropped = []
        for record in revisions.list_all(self._state)[retain:]:
            if str(record.number) in spared or (current is not None and current.number == record.number):
                continue
            revisions.drop(self._state, record.number)
            dropped.append(str(record.number))
        return tuple(dropped)


def _describe(record: Record, serving: Record | None, statuses: Mapping[str, Status]) -> Revision:
    return Revision(
        id=str(record.number),
        release=Release(
            revision=str(record.number),
            mlflow_version=record.mlflow_version,
            environment_lock=record.environment_lock,
            access=record.access,
        ),
        state=_state_of(record, serving, statuses.get(record.program.name)),
        created_at=record.created_at,
    )


def _state_of(record: Record, serving: Record | None, status: Status | None) -> RevisionState:
    if status is None:
        return "stopped" if _available(record) else "gone"
    if status.state not in {"RUNNING", "STARTING"}:
        return "failed"
    return "serving" if serving is not None and serving.number == record.number else "starting"


def running_revision(state: Path) -> str:
    """Return the number of the revision that answers on the public port, empty where none does.

    It is the revision that the proxy points to, if the supervisor runs it.
    """
    folder = StateDir(state)
    record = revisions.active(folder)
    if record is None:
        return ""
    status = Supervisor(folder).status(record.program.name)
    return str(record.number) if status is not None and status.state in {"RUNNING", "STARTING"} else ""


def _available(record: Record) -> bool:
    """Tell whether the environment that the revision was made with is still installed."""
    return Path(record.program.argv[0]).exists()
