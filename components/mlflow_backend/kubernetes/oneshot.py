"""A Job that does one thing in the backend's namespace and ends: made, waited for, its words read from its log."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.store import FETCH
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.hosted import StoreReader
from mlflow_backend.kubernetes import reasons
from mlflow_backend.kubernetes.naming import JOB_NAME
from mlflow_backend.kubernetes.render import oneshot
from mlflow_backend.one_shot import Seen, await_end, whole_log
from mlflow_backend.pace import Pace
from mlflow_backend.releases import running
from mlflow_backend.target import Finished

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow_backend.kubernetes.api import Api

# How long the kubelet may take to write the last lines of a container that has ended.
_LAST_LINES_S: Final = 15.0


@dataclass(kw_only=True)
class KubernetesJob:
    """A PodTemplate that is run once, with a command of its own, and in another `image` if one is named."""

    api: Api
    template: str
    image: str = ""
    pace: Pace = field(default_factory=Pace)

    def run(
        self, command: Sequence[str], *, deadline_s: float, complete: Callable[[Sequence[str]], bool] = lambda _: True
    ) -> Finished:
        """Run `command` once and wait for its end, at most `deadline_s` seconds from when it runs.

        A pod has START_S to be scheduled and to pull its image. Its last lines may come after its end: the log is read
        until `complete` finds it so, for a while. The Job is deleted, whatever happens; that of a command that was
        killed on this machine is deleted first, so that it writes no more. Raises PlatformFailed.
        """
        template = self.api.get("PodTemplate", self.template)
        if template is None:
            raise PlatformFailed(
                f"the PodTemplate {self.template} is not there", code="job-template-missing", fix="Run `make up`"
            )
        self._delete_abandoned(template["metadata"]["labels"])
        token = uuid.uuid4().hex
        document = oneshot.job(template, token=token, command=command, deadline_s=deadline_s, image=self.image)
        name = document["metadata"]["name"]
        with running.shown_as_running(token):
            self.api.create("Job", document)
            try:
                pod, ended = self._await(name, deadline_s)
                return self._finished(pod, ended, complete)
            finally:
                self.api.delete("Job", name)

    def _delete_abandoned(self, labels: Mapping[str, str]) -> None:
        """Delete the backend's Jobs whose commands were killed on this machine."""
        for job in self.api.list("Job", labels):
            token = (job["metadata"].get("annotations") or {}).get(oneshot.COMMAND, "")
            if running.was_killed(token):
                self.api.delete("Job", job["metadata"]["name"])
                running.forget(token)

    def _await(self, name: str, deadline_s: float) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """Return the Job's pod when it has ended, and how it did."""
        pods: list[dict[str, Any]] = []

        def look() -> Seen[tuple[Mapping[str, Any], Mapping[str, Any]]]:
            pods[:] = self.api.list("Pod", {JOB_NAME: name})
            state = _state(pods[0]) if pods else {}
            ended = state.get("terminated")
            return Seen(begun="running" in state, ended=None if ended is None else (pods[0], ended))

        return await_end(
            look, pace=self.pace, deadline_s=deadline_s, overdue=lambda why: self._overdue(name, pods, why)
        )

    def _finished(
        self, pod: Mapping[str, Any], ended: Mapping[str, Any], complete: Callable[[Sequence[str]], bool]
    ) -> Finished:
        name = pod["metadata"]["name"]
        words = [str(ended["reason"])] if ended.get("reason") not in {None, "Completed", "Error"} else []
        return Finished(
            exit_code=ended.get("exitCode"),
            lines=whole_log(lambda: self.api.log(name).splitlines(), complete, pace=self.pace, lag_s=_LAST_LINES_S),
            reasons=tuple(words),
        )

    def _overdue(self, name: str, pods: Sequence[Mapping[str, Any]], why: str) -> PlatformFailed:
        job = self.api.get("Job", name)
        found = reasons.gather(self.api, [job] if job else [], pods)
        words = f": {'; '.join(found)}" if found else ""
        return PlatformFailed(f"the Job {name} {why} and was deleted{words}", code="job-overdue")


@dataclass(kw_only=True)
class VerifyJob(StoreReader, KubernetesJob):
    """The Job that verifies within the cluster (target.OneShot)."""

    fetch: str = FETCH


def _state(pod: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state of a pod's container; a pod that was never let to a node has none."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or [{}]
    return dict(statuses[0].get("state") or {})
