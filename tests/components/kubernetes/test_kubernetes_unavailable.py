"""What users are answered while no server runs: the Job's program for real, its pod, and when it comes and goes."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.kubernetes import platform
from mlflow_backend.kubernetes.api import Refusal
from mlflow_backend.kubernetes.locator import locator_of
from mlflow_backend.kubernetes.naming import JOB_NAME, SERVER, UNAVAILABLE
from mlflow_backend.kubernetes.platform import KubernetesPlatform
from mlflow_backend.kubernetes.render import network, server, unavailable
from mlflow_backend.pace import Pace, wait_until
from tests.components.kubernetes.cluster import NAMING, Namespace, deployment, pod, replica_set
from tests.components.kubernetes.documents import all_of, container_of, pod_of
from tests.components.kubernetes.stacks import naming, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator

JOB = NAMING.part(UNAVAILABLE)
SERVERS = NAMING.part(SERVER)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The Job's own command at work, on a free port of this machine."""
    command = container_of(all_of(settings_of())[UNAVAILABLE])["command"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [str(port) if word == str(server.PORT) else word for word in command[1:]]
    process = subprocess.Popen([sys.executable, *words])
    try:
        assert wait_until(lambda: _listens(port), timeout_s=30)
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_request_is_asked_to_come_back(address: str, method: str) -> None:
    """MLflow's clients wait for the seconds that the answer names; an upload gets it too, after its body."""
    body = b"x" * (5 << 20) if method in {"POST", "PUT"} else None
    with contextlib.closing(http.client.HTTPConnection(address, timeout=30)) as connection:
        connection.request(method, "/api/2.0/mlflow/runs/create", body=body)
        answer = connection.getresponse()
        assert (answer.status, answer.headers["retry-after"]) == (503, str(unavailable.RETRY_S))
        content = answer.read()
    if method != "HEAD":
        assert json.loads(content)["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_its_pod_is_met_in_the_place_of_servers_and_knows_no_secret() -> None:
    """The Service and the policies select it, no ReplicaSet does, and a namespace of the level restricted takes it."""
    settings = settings_of()
    found = all_of(settings)
    made, serving = pod_of(found[UNAVAILABLE]), pod_of(found[SERVER])
    labels = made["metadata"]["labels"].items()
    assert found["service"]["spec"]["selector"].items() <= labels
    policy = network.policies(settings, naming(settings))[SERVER]
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= labels
    assert "pod-template-hash" not in made["metadata"]["labels"]
    (container,), (server_,) = made["spec"]["containers"], serving["spec"]["containers"]
    for key in ("image", "securityContext", "ports"):
        assert container[key] == server_[key]
    assert made["spec"]["securityContext"] == serving["spec"]["securityContext"]
    assert (made["spec"]["volumes"], container.keys() & {"env", "envFrom", "volumeMounts"}) == ([], set())


class Cluster(Namespace):
    """A namespace whose Job has a pod that is ready at once, and that notes the order of what is done."""

    refuses = False

    def __init__(self) -> None:
        """Let the second revision serve."""
        super().__init__()
        self.done: list[str] = []
        self.put("Deployment", deployment(2))
        self.put("ReplicaSet", replica_set(2, ready=2))

    def create(self, kind: str, document: dict[str, Any]) -> bool:
        """Make a Job and its pod."""
        if self.refuses:
            raise Refusal("exceeded quota", status=403)
        made = pod(f"{JOB}-pod", conditions=[{"type": "Ready", "status": "True"}])
        made["metadata"]["labels"] = {**document["spec"]["template"]["metadata"]["labels"], JOB_NAME: JOB}
        self.put("Pod", made)
        self.done.append(f"create {document['metadata']['name']}")
        return super().create(kind, document)

    def scale(self, kind: str, name: str, replicas: int, *, manager: str) -> None:
        """Set the number."""
        self.done.append(f"scale {name} to {replicas}")
        super().scale(kind, name, replicas, manager=manager)

    def delete(self, kind: str, name: str) -> None:
        """Delete a Job with its pod."""
        self.done.append(f"delete {name}")
        self.objects.pop(("Pod", f"{name}-pod"), None)
        super().delete(kind, name)


@pytest.fixture
def cluster() -> Cluster:
    """One that lets the Job run."""
    return Cluster()


@pytest.fixture
def live(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> KubernetesPlatform:
    """The platform on it; its store is never asked."""
    monkeypatch.setattr(platform, "_client", lambda *_: None)
    settings = settings_of()
    made = KubernetesPlatform(locator_of(settings, naming(settings)))
    made.api = cluster  # type: ignore[assignment]
    made.pace = Pace(clock=itertools.count().__next__, pause=lambda _: None)
    return made


def test_it_answers_from_before_the_servers_end_until_they_serve(cluster: Cluster, live: KubernetesPlatform) -> None:
    """Its own pod is no server that is waited for."""
    live.stop_servers()
    assert cluster.done == [f"create {JOB}", f"scale {SERVERS} to 0"]
    assert not live.wait("hash2", deadline_s=5).serving
    assert cluster.done[2:] == []
    cluster.put("Deployment", deployment(2))
    assert live.wait("hash2", deadline_s=5).serving
    assert cluster.done[2:] == [f"delete {JOB}"]
    assert live.wait("hash2", deadline_s=5).serving
    assert cluster.done[3:] == []


def test_a_cluster_that_lets_it_not_run_keeps_no_restore_up(cluster: Cluster, live: KubernetesPlatform) -> None:
    """A quota that is full is no reason to leave a database as it is."""
    cluster.refuses = True
    live.stop_servers()
    assert cluster.done == [f"scale {SERVERS} to 0"]
