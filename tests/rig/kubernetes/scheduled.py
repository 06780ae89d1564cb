"""Scheduled work of a stack in a cluster: what a verification leaves, what a maintenance prints, a run each minute."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, Final, Protocol

from mlflow_backend.contract import ExitCode
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from tests.rig.kubernetes.backend import ClusterStack

_ARTIFACT: Final = b"weights" * 100_000


class Used(Protocol):
    """A backend that is called as its administrator."""

    def call(self, path: str, body: object) -> dict[str, Any]:
        """Return what MLflow's REST interface answered."""

    def upload(self, path: str, pieces: Iterator[bytes]) -> urllib3.BaseHTTPResponse:
        """Return the answer to an upload."""


def leave_one(stack: Used, name: str) -> str:
    """Leave an experiment as a verification does, deleted, with a run and its artifact; return the artifact's path."""
    experiment = stack.call("experiments/create", {"name": f"{PREFIX}/{name}"})["experiment_id"]
    run = stack.call("runs/create", {"experiment_id": experiment, "start_time": 1})["run"]["info"]["run_id"]
    path = f"{experiment}/{run}/artifacts/model.bin"
    answer = stack.upload(f"api/2.0/mlflow-artifacts/artifacts/{path}", iter([_ARTIFACT]))
    assert answer.status == 200, answer.data
    stack.call("experiments/delete", {"experiment_id": experiment})
    return path


def maintained(stack: ClusterStack, *arguments: str) -> dict[str, Any]:
    """Run the command, and return what it printed."""
    done = stack.script("maintain", "--json", *arguments)
    assert done.code == ExitCode.DONE, done.text
    return dict(json.loads(done.text[done.text.index("{\n") :]))


@contextlib.contextmanager
def each_minute(stack: ClusterStack, work: str) -> Iterator[None]:
    """Let a CronJob begin each minute, and then no more."""
    name = stack.naming.part(work)
    stack.kubectl("patch", "cronjob", name, "-p", json.dumps({"spec": {"schedule": "* * * * *", "suspend": False}}))
    try:
        yield
    finally:
        stack.kubectl("patch", "cronjob", name, "-p", json.dumps({"spec": {"suspend": True}}))
