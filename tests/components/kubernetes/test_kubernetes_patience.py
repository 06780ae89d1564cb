"""Which words of the cluster end a wait early, and after how long."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.kubernetes.patience import PATIENCE_S, Patience


def pod(
    *, waiting: str = "", condition: tuple[str, str] = ("Ready", "False"), name: str = "server-1"
) -> dict[str, Any]:
    """Return a pod whose container waits for a reason, or that has a condition of a type and a reason."""
    state = {"waiting": {"reason": waiting}} if waiting else {"running": {}}
    conditions = [{"type": condition[0], "status": "False", "reason": condition[1]}]
    return {"metadata": {"name": name}, "status": {"conditions": conditions, "containerStatuses": [{"state": state}]}}


def deployment(reason: str = "", *, condition: str = "ReplicaFailure") -> dict[str, Any]:
    """Return a Deployment with a condition for a reason, such as that it cannot make pods; none without a reason."""
    conditions = [{"type": condition, "status": "True", "reason": reason}] if reason else []
    return {"metadata": {"name": "server"}, "status": {"conditions": conditions}}


@pytest.mark.parametrize("reason", PATIENCE_S)
def test_each_finding_has_its_own_patience(reason: str) -> None:
    """Nothing is given up before its time, and nothing is waited for until the rollout's deadline."""
    owner, pods = deployment(), [pod(waiting=reason)]
    if reason == "FailedCreate":
        owner, pods = deployment(reason), []
    elif reason == "Unschedulable":
        pods = [pod(condition=("PodScheduled", reason))]
    patience, least = Patience(), PATIENCE_S[reason]
    if least:
        assert patience.lost(owner, pods, now=100) is None
        assert patience.lost(owner, pods, now=99 + least) is None
    said = patience.lost(owner, pods, now=100 + least)
    assert said is not None
    assert reason in said


def test_the_time_of_a_pod_that_crashes_again_and_again_adds_up() -> None:
    """Between two crashes its container runs, which is not the end of the trouble."""
    patience = Patience()
    for now, waiting in ((0, "CrashLoopBackOff"), (20, ""), (40, "CrashLoopBackOff"), (59, "")):
        assert patience.lost(deployment(), [pod(waiting=waiting)], now=now) is None
    assert patience.lost(deployment(), [pod(waiting="")], now=90) is None
    assert patience.lost(deployment(), [pod(waiting="CrashLoopBackOff")], now=91)


def test_each_object_has_its_own_time() -> None:
    """Another pod may be on a node that has the image."""
    patience = Patience()
    assert patience.lost(deployment(), [pod(waiting="ErrImagePull", name="a")], now=0) is None
    assert patience.lost(deployment(), [pod(waiting="ErrImagePull", name="b")], now=90) is None


@pytest.mark.parametrize("reason", ["ContainerCreating", "PodInitializing", "SomethingNew"])
def test_what_is_on_its_way_or_unknown_is_waited_for(reason: str) -> None:
    """The rollout's own deadline ends it."""
    patience = Patience()
    for now in (0, 10_000):
        assert patience.lost(deployment(), [pod(waiting=reason)], now=now) is None


def test_a_word_counts_in_its_own_condition_alone() -> None:
    """What else a Deployment or a pod says is not about pods that cannot be made or placed."""
    patience, pods = Patience(), [pod(condition=("Ready", "Unschedulable"))]
    for now in (0, 10_000):
        assert patience.lost(deployment("FailedCreate", condition="Available"), pods, now=now) is None
