"""The signs of a rollout that does not come right by itself, and how long each is waited for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# In seconds: a registry that is away, a Secret that a controller is about to make and a database that starts come back
# within a minute; a node that an autoscaler adds within five. The words are those of Kubernetes 1.34: the kubelet's
# (images/types.go, container/sync_result.go, kuberuntime_container.go), the deployment controller's, the scheduler's.
PATIENCE_S: Final[Mapping[str, float]] = {
    "InvalidImageName": 0,
    "ErrImageNeverPull": 0,
    "ErrImagePull": 60,
    "ImagePullBackOff": 60,
    "CreateContainerConfigError": 60,
    "CreateContainerError": 60,
    "RunContainerError": 60,
    "CrashLoopBackOff": 60,
    "FailedCreate": 60,
    "Unschedulable": 300,
}


@dataclass
class Patience:
    """The patience with one rollout: when each finding was first seen."""

    _since: dict[tuple[str, str], float] = field(default_factory=dict)

    def lost(self, deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]], *, now: float) -> str | None:
        """Return, as a clause, what lasts for longer than it is waited for; None if nothing does."""
        for name, reason in _findings(deployment, pods):
            waited = now - self._since.setdefault((name, reason), now)
            if waited >= PATIENCE_S[reason]:
                return f"{name} says {reason}" + (f" for {waited:.0f} s" if waited else "")
        return None


def _findings(deployment: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Give name and reason of each object that is stuck. Who was stuck and runs again is not given."""
    said = [(deployment, each) for each in _conditions(deployment) if each.get("type") == "ReplicaFailure"]
    for pod in pods:
        said += [(pod, each) for each in _conditions(pod) if each.get("type") == "PodScheduled"]
        for container in (pod.get("status") or {}).get("containerStatuses") or []:
            said.append((pod, (container.get("state") or {}).get("waiting") or {}))
    for owner, finding in said:
        if finding.get("reason") in PATIENCE_S:
            yield owner["metadata"]["name"], finding["reason"]


def _conditions(owner: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (owner.get("status") or {}).get("conditions") or []
