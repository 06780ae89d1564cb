"""Releases that a real cluster cannot run: red with the cluster's own words and a fix, and users notice nothing.

One deployment of real MLflow is shared by all rows but the last. What is deployed over it is a server that starts at
once and is wrong in one way, or a right one that the cluster does not let in.
"""

from __future__ import annotations

import contextlib
import copy
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.kubernetes.naming import CANDIDATE, SERVER
from tests.engine.stack import nothing_changed
from tests.rig.kubernetes import addons, images
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.load import Users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

_REPLICAS = 2
_ROLLOUT_S: Final = 60
"""The least that settings let a new pod have: the update ends within it, and within the time of what else it does."""
_UPDATE_S: Final = 500
_COMPONENT: Final = "app.kubernetes.io/component"


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


def admission(component: str) -> Callable[[ClusterStack], Documents]:
    """Return what makes a policy of the cluster that lets in no pod of a component of the stack."""

    def made(stack: ClusterStack) -> Documents:
        version, name = "admissionregistration.k8s.io/v1", f"refused-{stack.namespace}"
        resources = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
        rule = {"expression": f"object.metadata.labels['{_COMPONENT}'] != '{component}'", "message": "not today"}
        there = {"matchLabels": {"kubernetes.io/metadata.name": stack.namespace}}
        policy = {
            **addons.head(version, "ValidatingAdmissionPolicy", name),
            "spec": {"matchConstraints": {"resourceRules": [resources]}, "validations": [rule]},
        }
        bound = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": there}}
        return [policy, {**addons.head(version, "ValidatingAdmissionPolicyBinding", name), "spec": bound}]

    return made


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
    rollout_s: int = _ROLLOUT_S


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
    Fault(
        name="admission-of-the-candidate",
        settings={"requestTimeout": 62},
        given=admission(CANDIDATE),
        said=("not today",),
        fix="admission",
    ),
    # The candidate is verified, and then the cluster refuses the pod that users would meet.
    Fault(
        name="admission-of-the-servers",
        settings={"requestTimeout": 63},
        given=admission(SERVER),
        said=("not today",),
        fix="admission",
        rollout_s=300,
    ),
)


@contextlib.contextmanager
def broken(stack: ClusterStack, fault: Fault) -> Iterator[None]:
    """Ask for the release, and give the cluster what stands in its way; afterwards all is asked for as it was."""
    right = copy.deepcopy(stack.settings)
    missing = f"{images.REGISTRY}/missing@sha256:{'0' * 64}"
    image = missing if fault.image == "missing" else stack.cluster.image(fault.image)
    stack.write_settings(
        server={**fault.settings, "image": image}, kubernetes={"server": {"rolloutDeadline": fault.rollout_s}}
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


def test_without_a_fault_the_next_update_is_green(served: ClusterStack) -> None:
    """What was red leaves nothing behind: the servers are as they were, and so is what they are told to run."""
    before = served.serving_pods()
    served.must_up("--refresh")
    again = served.must_up()
    assert nothing_changed(again.text), again.text
    assert served.serving_pods() == before


def test_a_database_without_a_volume_is_named(cluster: Cluster, tmp_path: Path) -> None:
    """Its class is there and gives none: the first update ends by the deadline, with the cluster's words and a fix."""
    nothing = {
        **addons.head("storage.k8s.io/v1", "StorageClass", "nothing"),
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    wanted = {"server": {"rolloutDeadline": _ROLLOUT_S}, "database": {"storageClass": "nothing"}}
    cluster.apply(nothing)
    try:
        with laid_out(tmp_path / "stack", cluster, "unbound", kubernetes=wanted) as stack:
            outcome = stack.pulumi("up", "--yes", "--skip-preview", "--stack", stack.name, timeout_s=_UPDATE_S)
            assert stack.serving_pods() == set()
    finally:
        cluster.kubectl("delete", "storageclass", "nothing")
    assert not outcome.ok, outcome.text
    assert "ersistent" in outcome.text, outcome.text
    assert "kubernetes.database.storageClass" in outcome.text, outcome.text
