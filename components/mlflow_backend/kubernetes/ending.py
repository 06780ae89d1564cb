"""The end of the server's pods, which outlast their Deployment by their grace period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.kubernetes.naming import JOB_NAME, SERVER

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.pace import Pace

_MARGIN_S: Final = 60


def pods_ended(api: Api, naming: Naming, pace: Pace) -> bool:
    """Wait until the pods have ended, for the longest of their grace periods and a minute; return whether they have."""
    ends = pace.clock() + max(map(_grace, _pods(api, naming)), default=0.0) + _MARGIN_S
    while _pods(api, naming):
        if pace.clock() >= ends:
            return False
        pace.pause(pace.poll_s)
    return True


def deployment_ends(api: Api, naming: Naming) -> bool:
    """Return whether the servers' Deployment is deleted, or is being deleted."""
    found = api.get("Deployment", naming.part(SERVER))
    return found is None or "deletionTimestamp" in found["metadata"]


def _pods(api: Api, naming: Naming) -> list[dict[str, Any]]:
    """Return the pods that are servers: one of a Job has their labels while they are away (unavailable)."""
    return [pod for pod in api.list("Pod", naming.selector(SERVER)) if JOB_NAME not in pod["metadata"]["labels"]]


def _grace(pod: dict[str, Any]) -> float:
    return float(pod["spec"]["terminationGracePeriodSeconds"])
