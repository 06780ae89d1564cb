"""The answer that users get while no server runs: a pod's 503, from before the servers end until they serve again."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.kubernetes.api import Refusal
from mlflow_backend.kubernetes.naming import JOB_NAME, UNAVAILABLE
from mlflow_backend.kubernetes.render import unavailable as render
from mlflow_backend.kubernetes.render.server import DRAIN_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.pace import Pace

# Its image is on a node already.
_START_S: Final = 30.0
_MARGIN_S: Final = 30.0


def begin(api: Api, naming: Naming, pod_template: Mapping[str, Any], pace: Pace) -> None:
    """Start the pod, by the pod template of a revision, and wait until it answers.

    A cluster that does not let it run keeps no restore up: users then get what their proxy says of no server.
    """
    with suppress(Refusal):
        api.create("Job", render.job(naming, pod_template))
        _wait(pace, _START_S, lambda: any(map(_is_ready, _pods(api, naming))))


def end(api: Api, naming: Naming, pace: Pace) -> None:
    """Delete the pod, and wait until no proxy can send it anything any more; nothing happens if there is none."""
    name = naming.part(UNAVAILABLE)
    if api.get("Job", name) is not None:
        api.delete("Job", name)
        _wait(pace, DRAIN_S + _MARGIN_S, lambda: not _pods(api, naming))


def _pods(api: Api, naming: Naming) -> list[dict[str, Any]]:
    return api.list("Pod", {JOB_NAME: naming.part(UNAVAILABLE)})


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return any(each["type"] == "Ready" and each["status"] == "True" for each in conditions)


def _wait(pace: Pace, deadline_s: float, moment: Callable[[], bool]) -> None:
    ends = pace.clock() + deadline_s
    while not moment() and pace.clock() < ends:
        pace.pause(pace.poll_s)
