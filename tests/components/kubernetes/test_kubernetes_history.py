"""The five verbs on what a cluster answers: which revision serves, is wanted, has failed, may be dropped."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.kubernetes.history import KubernetesHistory, container_of, template_of
from mlflow_backend.kubernetes.render.server import FIELD_MANAGER
from mlflow_backend.pace import Pace
from tests.components.kubernetes.cluster import NAMING, Namespace, deployment, pod, replica_set
from tests.components.kubernetes.stacks import DIGEST

if TYPE_CHECKING:
    from collections.abc import Callable

OVERDUE = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}


class Clock:
    """A clock that a pause moves, and that then lets the cluster go on."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        """Take what happens in each pause."""
        self.now, self.then = 0.0, then

    def pause(self, seconds: float) -> None:
        """Go on."""
        self.now += seconds
        self.then()

    @property
    def pace(self) -> Pace:
        """The pace of a wait."""
        return Pace(clock=lambda: self.now, pause=self.pause)


@pytest.fixture
def cluster() -> Namespace:
    """Two revisions, of which the second serves."""
    made = Namespace()
    made.put("Deployment", deployment(2))
    made.put("ReplicaSet", replica_set(1, version="3.16.0"))
    made.put("ReplicaSet", replica_set(2, ready=2))
    return made


def history(cluster: Namespace, clock: Clock | None = None) -> KubernetesHistory:
    """Return the verbs on a namespace in memory."""
    return KubernetesHistory(api=cluster, naming=NAMING, pace=(clock or Clock()).pace)  # type: ignore[arg-type]


def test_revisions_are_listed_newest_first_with_what_they_run(cluster: Namespace) -> None:
    """A revision is called by its pods' hash, which a rollback does not change."""
    newest, oldest = history(cluster).revisions()
    assert (newest.id, newest.state, oldest.id, oldest.state) == ("hash2", "serving", "hash1", "stopped")
    assert (oldest.release.mlflow_version, oldest.release.image_digest) == ("3.16.0", DIGEST)
    assert (oldest.release.access, oldest.release.keyed) == ("basic", False)
    assert newest.created_at is not None
    current = history(cluster).current()
    assert current is not None
    assert current.id == "hash2"


def test_during_a_rollout_the_revision_before_serves(cluster: Namespace) -> None:
    """A new pod that is ready is not yet what users meet most of the time."""
    cluster.put("Deployment", deployment(3, updated=1))
    cluster.put("ReplicaSet", replica_set(3, ready=1))
    found = history(cluster)
    assert found.serving() == "hash2"
    assert found.wanted() == "hash3"
    assert "hash3" in str(found.busy())
    assert found.revisions()[0].state == "starting"


def test_a_dead_pod_of_the_only_revision_changes_nothing_about_who_serves(cluster: Namespace) -> None:
    """One of two pods is down: the revision serves on."""
    cluster.put("Deployment", deployment(2, ready=1))
    cluster.put("ReplicaSet", replica_set(2, ready=1))
    assert history(cluster).serving() == "hash2"


def test_nothing_serves_without_pods_or_deployment(cluster: Namespace) -> None:
    """Stopped servers, and a backend that is not there yet."""
    cluster.put("ReplicaSet", replica_set(2))
    assert history(cluster).serving() is None
    assert history(Namespace()).serving() is None
    assert history(Namespace()).current() is None
    assert history(Namespace()).busy() is None


def test_pods_that_outlive_their_deployment_serve_nobody(cluster: Namespace) -> None:
    """They end by themselves within their grace, and no update can be compared with them."""
    del cluster.objects["Deployment", NAMING.part("server")]
    assert history(cluster).serving() is None
    assert {each.state for each in history(cluster).revisions()} == {"stopped"}


def test_a_change_that_no_controller_has_seen_is_no_answer(cluster: Namespace) -> None:
    """The annotation is of the generation before, and so is what it says of a deadline."""
    stale = deployment(2)
    stale["metadata"]["generation"] = 3
    stale["status"]["conditions"] = [OVERDUE]
    cluster.put("Deployment", stale)
    assert history(cluster).wanted() is None
    assert history(cluster).busy() is not None


def test_a_failed_rollout_is_not_under_way(cluster: Namespace) -> None:
    """Otherwise nobody could roll back from it without --force."""
    failed = deployment(3, updated=1)
    failed["status"]["conditions"] = [OVERDUE]
    cluster.put("Deployment", failed)
    cluster.put("ReplicaSet", replica_set(3, replicas=1))
    assert history(cluster).busy() is None
    assert history(cluster).revisions()[0].state == "failed"


def test_activating_applies_the_whole_deployment_as_pulumis_manager(cluster: Namespace) -> None:
    """Server-side apply takes away what a manager no longer names; replicas are the autoscaler's."""
    history(cluster).activate("hash1")
    ((kind, document, manager),) = cluster.applied
    assert (kind, manager) == ("Deployment", FIELD_MANAGER)
    assert document["spec"]["strategy"] == {"type": "RollingUpdate"}
    assert "replicas" not in document["spec"]
    template = document["spec"]["template"]
    assert template == template_of(replica_set(1, version="3.16.0"))
    assert "pod-template-hash" not in template["metadata"]["labels"]
    assert document["metadata"]["annotations"] == {"pulumi.com/patchFieldManager": FIELD_MANAGER}


def test_activating_what_runs_already_changes_nothing(cluster: Namespace) -> None:
    """A rollback that is repeated after an interruption starts no pods again."""
    history(cluster).activate("hash2")
    assert cluster.applied == []


def test_a_revision_that_is_gone_is_refused(cluster: Namespace) -> None:
    """The message is not about Kubernetes, but about what to choose."""
    with pytest.raises(Refused) as refused:
        history(cluster).activate("hash9")
    assert refused.value.code == "kubernetes-revision-gone"


def test_stopping_a_rollout_goes_back_to_what_serves(cluster: Namespace) -> None:
    """Users meet it already."""
    cluster.put("Deployment", deployment(3, updated=1))
    cluster.put("ReplicaSet", replica_set(3, ready=1))
    history(cluster).stop_deployment()
    ((_, document, _),) = cluster.applied
    assert document["spec"]["template"]["metadata"]["annotations"]["mlflow-backend/settings"] == "identity2"


def test_a_wait_ends_when_all_pods_are_of_the_revision_and_ready(cluster: Namespace) -> None:
    """Not before: half of the users would meet the other one."""
    cluster.put("Deployment", deployment(3, ready=1, updated=1))
    cluster.put("ReplicaSet", replica_set(3, ready=1))
    clock = Clock(then=lambda: cluster.put("Deployment", deployment(3)))
    outcome = history(cluster, clock).wait("hash3", deadline_s=60)
    assert outcome.serving
    assert outcome.start_s == 1.0


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"conditions": [OVERDUE]}, ("progress deadline", "timed out")),
        (
            {
                "conditions": [
                    {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "quota"}
                ]
            },
            ("not serving after", "quota"),
        ),
    ],
)
def test_a_wait_that_fails_gives_the_clusters_own_words(
    cluster: Namespace, status: dict[str, Any], words: tuple[str, ...]
) -> None:
    """Conditions, what pods wait for, how they ended, the last lines without passwords; and then what to do."""
    failing = deployment(3, updated=0, ready=2)
    failing["status"] |= status
    cluster.put("Deployment", failing)
    cluster.put("ReplicaSet", replica_set(3, replicas=1))
    ended = {"exitCode": 137, "reason": "OOMKilled"}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off"}
    statuses = [{"state": {"waiting": waiting}, "lastState": {"terminated": ended}}]
    cluster.put("Pod", pod("server-1", of="hash3", containerStatuses=statuses))
    cluster.logs["server-1"] = "cannot reach postgresql://mlflow:hunter2@db/mlflow"
    outcome = history(cluster).wait("hash3", deadline_s=30)
    assert not outcome.serving
    said = "\n".join(outcome.reasons)
    for word in (*words, "CrashLoopBackOff", "OOMKilled", "exit code 137", "log of server-1"):
        assert word in said
    assert "hunter2" not in said
    assert "server.memory" in outcome.reasons[-1]


def test_a_wait_for_what_nobody_wants_does_not_last(cluster: Namespace) -> None:
    """Somebody else has changed the Deployment: the update must not wait out its deadline."""
    clock = Clock()
    outcome = history(cluster, clock).wait("hash1", deadline_s=600)
    assert not outcome.serving
    assert clock.now < 60


def test_a_short_wait_says_who_is_wanted_too(cluster: Namespace) -> None:
    """The reason must not be the deadline alone, if it is shorter than what a controller may take."""
    outcome = history(cluster).wait("hash1", deadline_s=5)
    assert "hash2" in outcome.reasons[0]


def test_pruning_spares_what_a_rollback_could_want(cluster: Namespace) -> None:
    """The newest, the spared, and whatever has pods."""
    for number in (3, 4, 5):
        cluster.put("ReplicaSet", replica_set(number, ready=1 if number == 3 else 0))
    cluster.put("Deployment", deployment(5))
    assert history(cluster).prune(retain=1, spared=frozenset({"hash4"})) == ("hash1",)
    left = {name for kind, name in cluster.objects if kind == "ReplicaSet"}
    assert left == {f"{NAMING.part('server')}-hash{number}" for number in (2, 3, 4, 5)}


def test_what_a_revision_says_of_itself() -> None:
    """Also one of a Deployment that this project did not make."""
    foreign = replica_set(1)
    foreign["spec"]["template"]["metadata"] = {"labels": {}}
    del foreign["spec"]["template"]["spec"]["containers"][0]["env"]
    release = container_of(foreign).release("x")
    assert release.mlflow_version == "unknown"
    assert dataclasses.asdict(release)["access"] is None
    assert container_of(foreign).identity == ""
