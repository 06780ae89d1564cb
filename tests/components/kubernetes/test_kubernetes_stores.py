"""The wait for Postgres and Valkey on what a cluster answers: when it is over, and what is said of one that is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.kubernetes import stores
from mlflow_backend.kubernetes.naming import CACHE, DATABASE
from mlflow_backend.kubernetes.provider import StoresProvider
from mlflow_backend.pace import Pace
from tests.components.kubernetes.cluster import NAMING, Namespace, pod

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 60
PROPS: dict[str, Any] = {"locator": {}, "parts": [DATABASE, CACHE], "documents": "d1", "deadline": DEADLINE_S}
UNBOUND = "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind."


class Cluster:
    """A namespace with stores, and a clock that each pause moves."""

    def __init__(self) -> None:
        """Let both be ready."""
        self.api, self.naming, self.now = Namespace(), NAMING, 0.0
        self.then: Callable[[], None] = lambda: None
        for part in (DATABASE, CACHE):
            self.put(part)

    def put(self, part: str, *, ready: int = 1, seen: int = 1) -> None:
        """Let a store have one pod that is ready, or none; its controller has seen a generation."""
        counts = {"replicas": 1, "updatedReplicas": 1, "availableReplicas": ready}
        metadata = {"name": NAMING.part(part), "generation": 1, "labels": NAMING.labels(part)}
        document = {"metadata": metadata, "spec": {"replicas": 1}, "status": {"observedGeneration": seen, **counts}}
        self.api.put(stores.KINDS[part], document)

    def put_pod(self, part: str, **status: Any) -> None:
        """Let a store have a pod."""
        made = pod(f"{NAMING.part(part)}-0", **status)
        made["metadata"]["labels"] = NAMING.labels(part)
        self.api.put("Pod", made)

    @property
    def pace(self) -> Pace:
        """The pace of a wait."""
        return Pace(clock=lambda: self.now, pause=self.pause)

    def pause(self, seconds: float) -> None:
        """Go on."""
        self.now += seconds
        self.then()


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster that a locator leads to."""
    made = Cluster()
    monkeypatch.setattr(stores, "from_document", lambda _: None)
    monkeypatch.setattr(stores, "open_releases", lambda _: type("Releases", (), {"platform": made}))
    return made


def test_the_wait_ends_as_soon_as_all_are_ready(cluster: Cluster) -> None:
    """A controller that has not seen the change yet reports the pods before."""
    cluster.put(DATABASE, seen=0)
    cluster.put(CACHE, ready=0)
    late = [CACHE, DATABASE]
    cluster.then = lambda: cluster.put(late.pop())
    stores.wait(PROPS)
    assert cluster.now == 2


def test_a_database_whose_volume_is_not_bound_is_named_with_the_fix(cluster: Cluster) -> None:
    """The plugin's own wait said 'timed out' alone."""
    cluster.put(DATABASE, ready=0)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNBOUND}
    cluster.put_pod(DATABASE, conditions=[condition])
    with pytest.raises(PlatformFailed) as failed:
        stores.wait(PROPS)
    assert failed.value.code == "store-not-ready"
    for word in (NAMING.part(DATABASE), UNBOUND, "kubernetes.database.storageClass"):
        assert word in str(failed.value)
    assert cluster.now == DEADLINE_S


def test_what_does_not_come_right_ends_it_before_its_time(cluster: Cluster) -> None:
    """As for servers: an image name that is none will not become one. The setting is the store's own."""
    cluster.put(CACHE, ready=0)
    waiting = {"reason": "InvalidImageName", "message": "couldn't parse image name"}
    cluster.put_pod(CACHE, containerStatuses=[{"state": {"waiting": waiting}}])
    with pytest.raises(PlatformFailed, match=r"kubernetes\.cache\.image"):
        stores.wait(PROPS)
    assert cluster.now == 0


def test_all_have_one_deadline(cluster: Cluster) -> None:
    """Two stores that start late are not waited for twice as long."""
    cluster.put(DATABASE, ready=0)
    cluster.put(CACHE, ready=0)
    cluster.then = lambda: cluster.put(DATABASE) if cluster.now == DEADLINE_S - 1 else None
    with pytest.raises(PlatformFailed, match=NAMING.part(CACHE)):
        stores.wait(PROPS)
    assert cluster.now == DEADLINE_S


def test_only_another_document_is_waited_for() -> None:
    """An update that changes no store does not ask for them."""
    changes = [
        StoresProvider().diff("stores", PROPS, {**PROPS, **change}).changes
        for change in ({}, {"deadline": 90}, {"documents": "d2"})
    ]
    assert changes == [False, False, True]
