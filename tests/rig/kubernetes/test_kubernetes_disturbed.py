"""A backend on a real cluster that others disturb: pods are deleted, killed and evicted, the API server is restarted.

Real MLflow, two servers. Users write all the while, and lose no run that they were told is written. The tests stand in
the order of one life.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
import urllib3

from mlflow_backend.kubernetes.naming import SERVER
from tests.engine.stack import nothing_changed
from tests.rig.kubernetes import addons
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.load import Users
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

_REPLICAS, _SCALED = 2, 3
_SOON_S: Final = 240
_RETRIED: Final = frozenset({408, 429, 500, 502, 503, 504})
"""After these MLflow's client asks again, as after a connection that ends (its mlflow/utils/request_utils.py)."""


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStack]:
    """The stack, whose two servers serve, with room for the connections of one more."""
    folder = tmp_path_factory.mktemp("disturbed") / "stack"
    with laid_out(folder, cluster, "disturbed", database={"maxOverflow": 4}) as made:
        made.must_up()
        yield made


def test_a_deleted_server_fails_no_request(stack: ClusterStack) -> None:
    """It serves until no proxy sends it anything; another one comes."""
    first = min(stack.serving_pods())
    with Users(stack, "deleted") as users:
        stack.kubectl("delete", "pod", first, "--wait=false")
        two_without(stack, first)
    assert users.failed == []
    assert users.lost() == set()


def test_a_killed_server_fails_only_what_clients_ask_again(stack: ClusterStack) -> None:
    """Nobody drains it, so that the ingress knows it for a moment longer: no answer ends a training."""
    first = min(stack.serving_pods())
    with Users(stack, "killed") as users:
        until(lambda: users.acknowledged, what="a run", deadline_s=60)
        stack.cluster.kill(first, stack.namespace)
        until(lambda: restarts(stack, first), what="its restart", deadline_s=_SOON_S)
        until(lambda: len(stack.serving_pods()) == _REPLICAS, what="both servers", deadline_s=_SOON_S)
    met = [what for _, what, _ in users.failed]
    assert [what for what in met if what not in _RETRIED and not isinstance(what, urllib3.exceptions.HTTPError)] == []
    assert users.lost() == set()


def restarts(stack: ClusterStack, pod: str) -> int:
    """Return how often a server was started again in its pod."""
    found = json.loads(stack.kubectl("get", "pod", pod, "-o", "json"))
    return sum(each["restartCount"] for each in found["status"]["containerStatuses"])


def test_the_disruption_budget_refuses_to_evict_the_last_server(stack: ClusterStack) -> None:
    """A node that is drained takes one server, and the other one only when there are two again."""
    first, last = sorted(stack.serving_pods())
    with Users(stack, "evicted") as users:
        evict(stack, first)
        with pytest.raises(RuntimeError, match="disruption budget"):
            evict(stack, last)
        after = two_without(stack, first)
    assert last in after
    assert users.failed == []
    assert users.lost() == set()


def evict(stack: ClusterStack, pod: str) -> None:
    """Evict a pod, as who drains its node does. Raises RuntimeError with the API's words if that is refused."""
    asked = {**addons.head("policy/v1", "Eviction", pod, stack.namespace)}
    path = f"/api/v1/namespaces/{stack.namespace}/pods/{pod}/eviction"
    stack.cluster.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(asked))


def two_without(stack: ClusterStack, pod: str) -> set[str]:
    """Wait until two servers serve without this one, which has ended, and return them."""

    def settled() -> set[str]:
        found = stack.serving_pods()
        return found if len(found) == _REPLICAS and pod not in found else set()

    after = until(settled, what="another server", deadline_s=_SOON_S)
    until(lambda: pod not in stack.found("pods"), what=f"the end of {pod}", deadline_s=_SOON_S)
    return after


def test_an_update_outlasts_a_restart_of_the_api_server(stack: ClusterStack) -> None:
    """Killed and started again while there is a candidate, as by an upgrade of the control plane."""
    stack.write_settings(server={"requestTimeout": 120})
    with Users(stack, "control-plane") as users:
        update = stack.start_up()
        try:
            until(lambda: update.poll() is not None or stack.has_candidate, what="a candidate", deadline_s=_SOON_S)
            assert update.poll() is None, stack.background_log.read_text()
            stack.cluster.stop("apiserver")
            stack.cluster.start("apiserver")
            code = update.wait(2 * _SOON_S)
        finally:
            stack.kill(update)
    assert code == 0, stack.background_log.read_text()
    stack.until_serving(revision(stack), pods=_REPLICAS)
    assert not stack.has_candidate
    assert users.failed == []
    assert users.lost() == set()


def revision(stack: ClusterStack) -> str:
    """Return the revision that the last update says it serves."""
    return str(stack.outputs()["release"]["revision"])


def test_what_the_autoscaler_added_is_kept_by_updates(stack: ClusterStack) -> None:
    """The settings say two, the autoscaler three: an update takes none away, of nothing or of the release."""
    stack.write_settings(scaling={"maxReplicas": _SCALED}, kubernetes={"scaling": {"memoryPercent": 10}})
    stack.must_up()
    before = stack.until_serving(revision(stack), pods=_SCALED)
    again = stack.must_up()
    assert nothing_changed(again.text), again.text
    assert stack.serving_pods() == before
    stack.write_settings(server={"requestTimeout": 130})
    seen = set[int]()
    update = stack.start_up()

    def ended() -> bool:
        seen.add(replicas(stack))
        return update.poll() is not None

    try:
        until(ended, what="the end of the update", deadline_s=2 * _SOON_S)
    finally:
        stack.kill(update)
    assert update.returncode == 0, stack.background_log.read_text()
    assert seen == {_SCALED}
    after = stack.until_serving(revision(stack), pods=_SCALED)
    assert not after & before


def replicas(stack: ClusterStack) -> int:
    """Return how many servers the Deployment asks for."""
    return int(stack.kubectl("get", "deployment", stack.naming.part(SERVER), "-o", "jsonpath={.spec.replicas}"))
