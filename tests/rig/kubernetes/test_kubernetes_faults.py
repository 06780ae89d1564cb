"""Releases that a real cluster cannot run: red with the cluster's own words and a fix, and users notice nothing.

One deployment of real MLflow is shared by all rows. What is deployed over it is a server that starts at once and is
wrong in one way, or a right one that the cluster does not let in.
"""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.rig.kubernetes import addons, images
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.users import Users
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

_REPLICAS = 2
_ROLLOUT_S: Final = 60
"""The least that settings let a new pod have: the update ends within it, and within the time of what else it does."""
_UPDATE_S: Final = 500


@pytest.fixture(scope="module")
def served(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStack]:
    """The stack, whose two servers serve."""
    with laid_out(tmp_path_factory.mktemp("faults") / "stack", cluster, "faults") as stack:
        stack.must_up()
        yield stack


Documents = list[dict[str, Any]]


def quota(stack: ClusterStack) -> Documents:
    """Return a quota that has no room for one pod more, because it has less than there are."""
    return [{**addons.head("v1", "ResourceQuota", "full", stack.namespace), "spec": {"hard": {"pods": "1"}}}]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row: what is deployed, what the cluster is given before, and what has to be said.

    `image` is the new release's, by its name on the rig. `said` are the cluster's own words, `fix` is what to change.
    """

    name: str
    said: tuple[str, ...]
    fix: str
    image: str = "server"
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: Callable[[ClusterStack], Documents] = lambda _: []


FAULTS: Final = (
    Fault(
        name="image-missing",
        image="missing",
        said=(f"{images.REGISTRY}/missing", "ErrImagePull"),
        fix="server.image",
    ),
    Fault(name="wrong-architecture", image="faulty-foreign", said=("exec format error",), fix="architecture"),
    Fault(name="crash-loop", image="faulty-crash", said=("boom: cannot start",), fix="while it starts"),
    Fault(name="never-ready", image="faulty-unready", said=("statuscode: 503",), fix="rolloutDeadline"),
    Fault(
        name="out-of-memory",
        image="faulty-greedy",
        settings={"memory": 1024},
        said=("OOMKilled",),
        fix="server.memory",
    ),
    Fault(
        name="quota",
        settings={"requestTimeout": 61},
        given=quota,
        said=("exceeded quota: full",),
        fix="one server more",
    ),
)


@contextlib.contextmanager
def broken(stack: ClusterStack, fault: Fault) -> Iterator[None]:
    """Ask for the release, and give the cluster what stands in its way; afterwards all is asked for as it was."""
    right = copy.deepcopy(stack.settings)
    missing = f"{images.REGISTRY}/missing@sha256:{'0' * 64}"
    image = missing if fault.image == "missing" else stack.cluster.image(fault.image)
    stack.write_settings(
        server={**fault.settings, "image": image}, kubernetes={"server": {"rolloutDeadline": _ROLLOUT_S}}
    )
    given = fault.given(stack)
    try:
        if given:
            stack.cluster.apply(*given)
        yield
    finally:
        if given:
            listed = {"apiVersion": "v1", "kind": "List", "items": given}
            stack.cluster.kubectl("delete", "-f", "-", given=json.dumps(listed))
        stack.settings = right
        stack.write_settings()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda row: row.name)
def test_a_release_that_cannot_run_is_named_and_never_met(served: ClusterStack, fault: Fault) -> None:
    """The cluster's own reason and the fix are said in time, the old pods serve all the while, no candidate is left."""
    before = served.serving_pods()
    assert len(before) == _REPLICAS
    with Users(served, fault.name) as users, broken(served, fault):
        outcome = served.pulumi("up", "--yes", "--skip-preview", "--stack", served.name, timeout_s=_UPDATE_S)
    assert not outcome.ok, outcome.text
    for word in (*fault.said, fault.fix):
        assert word in outcome.text, outcome.text
    assert served.serving_pods() == before
    assert users.failed == []
    assert users.acknowledged
    assert users.lost() == set()
    assert not served.has_candidate


def test_the_disruption_budget_refuses_to_evict_the_last_server(served: ClusterStack) -> None:
    """A node that is drained takes one server, and the other one only when there are two again."""
    first, last = sorted(served.serving_pods())
    with Users(served, "evicted") as users:
        evict(served, first)
        with pytest.raises(RuntimeError, match="disruption budget"):
            evict(served, last)
        after = until(lambda: two_without(served, first), what="another server", deadline_s=240)
        until(lambda: first not in served.found("pods"), what="the end of the evicted one", deadline_s=120)
    assert last in after
    assert users.failed == []
    assert users.lost() == set()


def evict(stack: ClusterStack, pod: str) -> None:
    """Evict a pod, as who drains its node does. Raises RuntimeError with the API's words if that is refused."""
    asked = {**addons.head("policy/v1", "Eviction", pod, stack.namespace)}
    path = f"/api/v1/namespaces/{stack.namespace}/pods/{pod}/eviction"
    stack.cluster.kubectl("create", "--raw", path, "-f", "-", given=json.dumps(asked))


def two_without(stack: ClusterStack, pod: str) -> set[str]:
    """Return the servers if there are two without this one, and none else."""
    found = stack.serving_pods()
    return found if len(found) == _REPLICAS and pod not in found else set()
