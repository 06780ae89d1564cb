"""The live side on a namespace in memory: one-shot Jobs, servers that stop and start, the candidate, preflight."""

from __future__ import annotations

import itertools
import json
import tempfile
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend import rollout as rollouts
from mlflow_backend.contract import PlatformFailed, Refused, WaitOutcome
from mlflow_backend.findings import Outcome
from mlflow_backend.kubernetes import backend, candidate, platform, preflight, rollout
from mlflow_backend.kubernetes.locator import KubernetesLocator, locator_of, parts_of
from mlflow_backend.kubernetes.naming import CANDIDATE
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.platform import KubernetesPlatform
from mlflow_backend.kubernetes.provider import RolloutProvider
from mlflow_backend.kubernetes.render import oneshot, server
from mlflow_backend.locator import from_document
from mlflow_backend.migrate.tool import Code, TaskRunner
from mlflow_backend.pace import Pace
from mlflow_backend.releases import resource, running, update
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report
from tests.components.kubernetes.cluster import NAMING, Namespace, deployment, pod, replica_set
from tests.components.kubernetes.stacks import IMAGE, VARIANTS, naming, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TEMPLATE = NAMING.part(oneshot.DATABASE)


class Kubelet:
    """Runs each Job's pod as a test says: the states of its container, one for each look."""

    def __init__(self, cluster: Namespace, *states: dict[str, Any]) -> None:
        """Take the states; the last one stays."""
        self.cluster, self.states, self.now = cluster, list(states), 0.0

    def pause(self, seconds: float) -> None:
        """Go on."""
        self.now += seconds
        for kind, name in list(self.cluster.objects):
            if kind == "Job" and self.states:
                state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
                made = pod(f"{name}-pod", containerStatuses=[{"state": state}])
                made["metadata"]["labels"] = {"batch.kubernetes.io/job-name": name}
                self.cluster.put("Pod", made)
                self.cluster.logs[f"{name}-pod"] = 'warming up\n{\n "exit_code": 0\n}'

    @property
    def pace(self) -> Pace:
        """The pace of a wait, in which a second passes with each pause."""
        return Pace(clock=lambda: self.now, pause=self.pause)


@pytest.fixture
def cluster() -> Namespace:
    """The namespace of a backend at its second revision."""
    settings = settings_of()
    made = Namespace()
    made.put("Deployment", deployment(2))
    made.put("ReplicaSet", replica_set(1, version="3.16.0"))
    made.put("ReplicaSet", replica_set(2, ready=2))
    made.put("PodTemplate", oneshot.database(settings, naming(settings)))
    made.put("HorizontalPodAutoscaler", server.autoscaler(settings, naming(settings)))
    return made


def job(cluster: Namespace, kubelet: Kubelet, *, image: str = "") -> KubernetesJob:
    """Return a Job of the database tool."""
    return KubernetesJob(api=cluster, template=TEMPLATE, image=image, pace=kubelet.pace)  # type: ignore[arg-type]


def test_a_job_is_run_once_and_leaves_nothing(cluster: Namespace) -> None:
    """Its words are those of its pod, its end is its container's."""
    kubelet = Kubelet(cluster, {"waiting": {}}, {"running": {}}, {"terminated": {"exitCode": 3, "reason": "Error"}})
    finished = job(cluster, kubelet).run(["python"], deadline_s=60)
    assert (finished.exit_code, finished.lines[0]) == (3, "warming up")
    assert [kind for kind, _ in cluster.objects if kind == "Job"] == []


def test_the_database_tool_is_read_from_a_jobs_log(cluster: Namespace) -> None:
    """Its report is the JSON in it, the rest is for people."""
    kubelet = Kubelet(cluster, {"terminated": {"exitCode": 0, "reason": "Completed"}})
    result = TaskRunner(job(cluster, kubelet)).run(["status"], deadline_s=60)
    assert json.loads(result.output) == {"exit_code": 0}
    assert "warming up" in result.log


def test_a_container_that_was_killed_says_by_whom(cluster: Namespace) -> None:
    """`OOMKilled` is the cause that somebody looks for."""
    kubelet = Kubelet(cluster, {"terminated": {"exitCode": 137, "reason": "OOMKilled"}})
    assert job(cluster, kubelet).run(["x"], deadline_s=60).reasons == ("OOMKilled",)


def test_the_job_of_a_killed_command_is_deleted_and_a_running_ones_is_not(
    cluster: Namespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed command had started writes no more, and no command ends another one's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    template = cluster.get("PodTemplate", TEMPLATE)
    assert template is not None
    for token in ("killed-1", "running2", "elsewhere"):
        cluster.put("Job", oneshot.job(template, token=token, command=["x"], deadline_s=60))
    running._path("killed-1").touch()
    with running.shown_as_running("running2"):
        job(cluster, Kubelet(cluster, {"terminated": {"exitCode": 0}})).run(["x"], deadline_s=60)
    left = {name for kind, name in cluster.objects if kind == "Job"}
    assert left == {f"{TEMPLATE}-running2", f"{TEMPLATE}-elsewher"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("state", "words"),
    [({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}, "no such image"), ({"running": {}}, "")],
)
def test_a_job_that_does_not_end_in_time_is_deleted(cluster: Namespace, state: dict[str, Any], words: str) -> None:
    """With the cluster's reason, whether its pod never started or runs too long."""
    with pytest.raises(PlatformFailed) as failed:
        job(cluster, Kubelet(cluster, state)).run(["x"], deadline_s=20)
    assert failed.value.code == "job-overdue"
    assert words in str(failed.value)
    assert [kind for kind, _ in cluster.objects if kind == "Job"] == []


def test_a_tool_that_cannot_be_run_is_the_tools_failure(cluster: Namespace) -> None:
    """What waits for it knows its codes only."""
    cluster.objects.pop(("PodTemplate", TEMPLATE))
    with pytest.raises(PlatformFailed) as failed:
        TaskRunner(job(cluster, Kubelet(cluster))).run(["status"], deadline_s=60)
    assert failed.value.code == Code.UNREADABLE.error


@pytest.fixture
def live(cluster: Namespace, monkeypatch: pytest.MonkeyPatch) -> KubernetesPlatform:
    """The platform on that namespace; its store is never asked."""
    monkeypatch.setattr(platform, "_client", lambda *_: None)
    made = KubernetesPlatform(located())
    made.api = cluster  # type: ignore[assignment]
    made.pace = Pace(clock=itertools.count().__next__, pause=lambda _: None)
    return made


def located(variant: str = "cluster") -> KubernetesLocator:
    """Return the locator of a variant's backend."""
    settings = settings_of(variant)
    return locator_of(settings, naming(settings))


def test_servers_stop_and_come_back_as_many_as_the_autoscaler_has_at_least(
    cluster: Namespace, live: KubernetesPlatform
) -> None:
    """At no replicas the autoscaler does nothing, so that a migration has the database alone."""
    live.stop_servers()
    assert cluster.objects["Deployment", NAMING.part("server")]["spec"]["replicas"] == 0
    live.resume_servers()
    assert cluster.objects["Deployment", NAMING.part("server")]["spec"]["replicas"] == 2


def test_servers_that_run_are_left_as_many_as_they_are(cluster: Namespace, live: KubernetesPlatform) -> None:
    """The autoscaler may have made more of them."""
    cluster.put("Deployment", deployment(2, replicas=7, ready=7))
    live.resume_servers()
    assert cluster.objects["Deployment", NAMING.part("server")]["spec"]["replicas"] == 7


def test_the_tool_of_another_version_runs_in_a_revisions_image(cluster: Namespace, live: KubernetesPlatform) -> None:
    """A restore needs the tool of the version that wrote the dump."""
    older = replica_set(1, version="3.16.0")
    older["spec"]["template"]["spec"]["containers"][0]["image"] = "older"
    cluster.put("ReplicaSet", older)
    assert live._image("3.16.0") == "older"
    assert live._image("3.17.2") == live._image(None) == IMAGE
    with pytest.raises(Refused) as refused:
        live._image("3.15.0")
    assert refused.value.code == "kubernetes-tool-version-gone"


def test_the_tool_of_a_version_that_nobody_runs_yet_has_the_updates_image(
    cluster: Namespace, live: KubernetesPlatform
) -> None:
    """A migration is made by the new release; all else by an image that is known to run."""
    cluster.objects.pop(("ReplicaSet", f"{NAMING.part('server')}-hash2"))
    assert live._image("3.17.2") == ""
    assert live._image(None) == IMAGE


def test_keys_are_drawn_into_a_secret_of_its_own_alone(cluster: Namespace, live: KubernetesPlatform) -> None:
    """Whoever keeps a Secret for the backend, such as External Secrets, would write over them, or against them."""
    live.locator = replace(live.locator, secret="team-mlflow")
    cluster.put("Secret", {"metadata": {"name": "team-mlflow"}, "data": {}})
    before = cluster.writes
    with pytest.raises(Refused) as refused:
        live.rotate_keys(lost=False)
    assert refused.value.code == "kubernetes-keys-of-others"
    assert cluster.writes == before


def test_a_revision_is_described_from_itself(live: KubernetesPlatform) -> None:
    """Whom it lets in, what it runs, and by which login it is verified; references, never values."""
    found = live.describe("hash2")
    assert (found.identity, found.callers.hosts) == ("identity2", ("mlflow.example.com",))
    subject = live.subject("hash2")
    assert (subject.url, subject.expected_revision) == ("https://mlflow.example.com", "hash2")
    assert subject.credentials["password"] == "kubernetes:mlflow-cluster-server#admin-password"


def test_status_and_logs_are_of_what_is_there(cluster: Namespace, live: KubernetesPlatform) -> None:
    """An adopted database is nobody's part here."""
    cluster.put("Pod", pod("server-1", phase="Running"))
    cluster.logs["server-1"] = "GET postgresql://mlflow:hunter2@db/x"
    (part,) = live.parts()
    assert (part.name, part.state, part.runs) == ("server", "2 of 2 pods are ready", True)
    (text,) = live.tails("server", lines=5)
    assert "server-1" in text
    assert "hunter2" not in text
    assert list(live.tails("database", lines=5)) == ["database: no pod runs"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_locator_survives_its_document_and_its_address(variant: str) -> None:
    """Pulumi's state and the cluster keep it as JSON; people pass the address on."""
    found = located(variant)
    assert from_document(json.loads(json.dumps(found.document()))) == found
    assert parts_of(found.address) == (found.context, "mlflow", "mlflow-cluster")
    assert found.inside == (variant == "inside")


def test_an_address_of_another_form_is_of_another_target() -> None:
    """The context may hold anything, as those of EKS do."""
    assert parts_of("s3://bucket/x") is None
    assert parts_of("kubernetes://a/b") is None
    assert parts_of("kubernetes://arn%3Aaws%3Aeks%3Ax%3Acluster%2Fy/ns/name") == (
        "arn:aws:eks:x:cluster/y",
        "ns",
        "name",
    )


class Deployed:
    """What `open_releases` gives, as far as candidate and rollout ask it."""

    def __init__(self, live: KubernetesPlatform) -> None:
        """Take the platform; no migration is under way."""
        self.platform, self.migration, self.store = live, self, live.store

    def load(self) -> None:
        """There is no entry in the journal."""

    def close(self) -> None:
        """There is nothing to close."""


def report(verdict: Result) -> Report:
    """Return a report with a verdict."""
    return Report(url="http://x", profile="core", deadline_s=1.0, started="now", finished="now", verdict=verdict)


@pytest.fixture
def staged(
    cluster: Namespace, live: KubernetesPlatform, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Any]]:
    """Stage a release whose verification has a verdict; the inputs of the resource."""
    settings = settings_of()
    monkeypatch.setattr(candidate, "open_releases", lambda _locator: Deployed(live))
    monkeypatch.setattr(candidate, "_revision", lambda _history: "apart1")

    def stage(verdict: Result = Result.PASS, *, starts: bool = True, pinned: bool = False) -> dict[str, Any]:
        monkeypatch.setattr(candidate.execution, "run_apart", lambda *_, **__: report(verdict))

        def wait(*_: Any, **__: Any) -> Any:
            assert cluster.applied, "nothing was started"
            return WaitOutcome(serving=starts, reasons=("ErrImagePull",))

        monkeypatch.setattr(candidate.KubernetesHistory, "wait", wait)
        template = server.template(settings, naming(settings), component=CANDIDATE, secrets_version="v1")
        return {
            "locator": located().document(),
            "identity": "new",
            "secrets": "v1",
            "pinned": pinned,
            "deployment": json.dumps(server.candidate(settings, naming(settings), template)),
            "service": json.dumps(server.service(settings, naming(settings), NAMING.part(CANDIDATE), CANDIDATE)),
            "verification": {"profile": "core", "deadline": 60, "extraChecks": []},
        }

    return stage


def gone(cluster: Namespace) -> bool:
    """Tell whether the candidate was deleted after it was started."""
    name = NAMING.part(CANDIDATE)
    return cluster.deleted[-2:] == [("Deployment", name), ("Service", name)] and len(cluster.deleted) == 4


def test_a_candidate_that_passes_makes_way(cluster: Namespace, staged: Callable[..., dict[str, Any]]) -> None:
    """The servers are then rolled by their own Deployment."""
    candidate.verify(staged())
    assert [kind for kind, _, _ in cluster.applied] == ["Deployment", "Service"]
    assert gone(cluster)


@pytest.mark.parametrize("verdict", [Result.FAIL, Result.INCONCLUSIVE])
def test_a_candidate_that_does_not_pass_fails_the_update(
    cluster: Namespace, staged: Callable[..., dict[str, Any]], verdict: Result
) -> None:
    """No user met it, and the message says who serves."""
    with pytest.raises(update.CandidateFailed) as failed:
        candidate.verify(staged(verdict))
    assert "hash2" in str(failed.value)
    assert gone(cluster)


def test_a_candidate_that_does_not_start_says_why(cluster: Namespace, staged: Callable[..., dict[str, Any]]) -> None:
    """With the cluster's own reason."""
    with pytest.raises(PlatformFailed) as failed:
        candidate.verify(staged(starts=False))
    assert failed.value.code == "candidate-not-starting"
    assert "ErrImagePull" in str(failed.value)
    assert gone(cluster)


def test_nothing_is_staged_for_nobody(cluster: Namespace, staged: Callable[..., dict[str, Any]]) -> None:
    """A first deployment has no users, and a pinned stack serves what it served."""
    candidate.verify(staged(pinned=True))
    cluster.put("ReplicaSet", replica_set(2))
    candidate.verify(staged())
    assert cluster.applied == []


def test_a_candidate_that_a_killed_update_left_is_a_change(
    cluster: Namespace, staged: Callable[..., dict[str, Any]]
) -> None:
    """Otherwise nobody would ever end it."""
    props = staged()
    assert not candidate.changed(props, props)
    assert candidate.changed(props, {**props, "secrets": "v2"})
    cluster.put("Deployment", {"metadata": {"name": NAMING.part(CANDIDATE)}})
    assert candidate.changed(props, props)


@pytest.fixture
def rolled(live: KubernetesPlatform, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """The inputs of a rollout of the revision that serves."""
    live.store = FileStore(tmp_path)
    for module in (rollout, resource):
        monkeypatch.setattr(module, "open_releases", lambda _locator: Deployed(live))
    monkeypatch.setattr(rollouts, "settle", lambda _journal: None)
    monkeypatch.setattr(rollouts.durations, "keep", lambda *_: None)
    return {"locator": located().document(), "identity": "identity2", "secrets": "v1", "deadline": 60}


def test_a_rollout_finds_its_revision_and_waits_for_it(rolled: dict[str, Any]) -> None:
    """The number of a revision is not known before the controller has made it."""
    outputs = rollout.wait_for(rolled)
    assert outputs["revision"] == "hash2"
    assert resource.still_serving(outputs)
    assert RolloutProvider().diff("hash2", outputs, outputs).replaces == []
    assert RolloutProvider().diff("hash2", outputs, {**outputs, "identity": "identity3"}).replaces == ["identity"]


def test_a_rollout_without_an_announced_deployment_fails(
    cluster: Namespace, live: KubernetesPlatform, rolled: dict[str, Any]
) -> None:
    """Somebody else has changed it meanwhile."""
    times = iter(range(0, 1000, 30))
    live.pace = Pace(clock=lambda: float(next(times)), pause=lambda _: None)
    with pytest.raises(PlatformFailed) as failed:
        rollout.wait_for({**rolled, "identity": "identity9"})
    assert failed.value.code == "deployment-of-another-release"
    assert cluster.applied == []


def test_what_a_rollback_left_is_rolled_out_again(
    cluster: Namespace, live: KubernetesPlatform, rolled: dict[str, Any]
) -> None:
    """Its pin is lifted, and Pulumi applies nothing, because its state still has the release of the settings."""
    back = {**replica_set(1, ready=2), "metadata": replica_set(3)["metadata"]}
    back["metadata"]["labels"] = {**back["metadata"]["labels"], "pod-template-hash": "hash1"}
    cluster.put("ReplicaSet", back)
    cluster.put("ReplicaSet", replica_set(2))
    cluster.put("Deployment", deployment(3))
    times = iter(range(0, 1000, 30))
    live.pace = Pace(clock=lambda: float(next(times)), pause=lambda _: None)
    # The cluster in memory has no controller that would do what it is told.
    with pytest.raises(PlatformFailed):
        rollout.wait_for(rolled)
    (kind, applied, manager) = cluster.applied[0]
    assert (kind, manager) == ("Deployment", server.FIELD_MANAGER)
    assert applied["spec"]["template"]["metadata"]["annotations"][server.SETTINGS] == "identity2"


def test_a_backend_that_stopped_to_serve_is_waited_for_again(cluster: Namespace, rolled: dict[str, Any]) -> None:
    """Without another input: an update without changes must notice."""
    outputs = rollout.wait_for(rolled)
    cluster.put("ReplicaSet", replica_set(2))
    assert RolloutProvider().diff("hash2", outputs, outputs).changes


class Cluster(Namespace):
    """What preflight asks: paths without a namespace, and permissions."""

    def __init__(self) -> None:
        """Everything is there, and everything may be done."""
        super().__init__()
        labels = {"kubernetes.io/arch": "amd64"}
        default = {"storageclass.kubernetes.io/is-default-class": "true"}
        self.paths: dict[str, dict[str, Any]] = {
            "version": {"gitVersion": "v1.34.1"},
            "api/v1/namespaces/mlflow": {"metadata": {"name": "mlflow"}},
            "api/v1/namespaces/argo": {"metadata": {"name": "argo"}},
            "api/v1/namespaces/notebooks": {"metadata": {"name": "notebooks"}},
            "api/v1/nodes": {"items": [{"metadata": {"name": "n", "labels": labels}}]},
            "apis/storage.k8s.io/v1/storageclasses": {"items": [{"metadata": {"name": "s", "annotations": default}}]},
            "apis/networking.k8s.io/v1/ingressclasses": {"items": [{"metadata": {"name": "nginx"}}]},
        }
        self.refused: set[str] = set()

    def at(self, path: str) -> dict[str, Any] | None:
        """Return what is at a path."""
        return self.paths.get(path)

    def may(self, verb: str, resource: str, *, group: str = "", namespace: str | None = None) -> bool:
        """Tell whether something may be done; in another namespace it is refused by that one's name."""
        del group
        if namespace is not None:
            return f"{verb} {resource} in {namespace}" not in self.refused
        return f"{verb} {resource}" not in self.refused


def failing(found: Cluster, variant: str = "cluster") -> list[str]:
    """Return the checks that fail."""
    looked = preflight.check(settings_of(variant), found, NAMING)  # type: ignore[arg-type]
    return [each.check for each in looked if each.outcome is Outcome.FAIL]


@pytest.mark.parametrize("label", ["project", "stack"])
def test_a_backend_of_another_that_is_called_alike_is_refused_in_the_preview(
    label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later, the update would have changed what both call alike: policies, accounts, how commands find the backend."""
    found = Cluster()
    labels = {**NAMING.labels("server"), f"mlflow-backend/{label}": "another"}
    found.put("Secret", {"metadata": {"name": NAMING.part("server"), "labels": labels}})
    monkeypatch.setattr(backend, "KubernetesPlatform", lambda _: SimpleNamespace(api=found))
    with pytest.raises(Refused) as refused:
        backend._inspect(settings_of(), located(), "identity")
    assert refused.value.code == "kubernetes-backend-of-another"
    assert "another" in str(refused.value)


def test_a_cluster_that_has_everything_passes() -> None:
    """Each check is shown."""
    looked = preflight.refuse(preflight.check(settings_of(), Cluster(), NAMING))  # type: ignore[arg-type]
    assert {each.outcome for each in looked} == {Outcome.PASS}
    assert {each.check for each in looked} == {
        "api server", "namespace", "permissions", "quota", "storage class", "ingress class", "architecture",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "answer", "check"),
    [
        ("version", {"gitVersion": "v1.20.0"}, "api server"),
        ("api/v1/namespaces/mlflow", None, "namespace"),
        ("api/v1/nodes", {"items": []}, "architecture"),
        ("apis/storage.k8s.io/v1/storageclasses", {"items": []}, "storage class"),
        ("apis/networking.k8s.io/v1/ingressclasses", {"items": []}, "ingress class"),
    ],
)
def test_what_is_missing_is_refused(path: str, answer: dict[str, Any] | None, check: str) -> None:
    """Before anything is made."""
    found = Cluster()
    found.paths[path] = answer  # type: ignore[assignment]
    assert failing(found) == [check]
    with pytest.raises(Refused) as refused:
        preflight.refuse(preflight.check(settings_of(), found, NAMING))  # type: ignore[arg-type]
    assert refused.value.code == "kubernetes-preflight-failed"


def test_a_cluster_that_is_not_reached_is_said_with_its_own_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """'Fix that' helps nobody: each error knows what to do about it."""
    found = Cluster()

    def away(_path: str) -> None:
        raise PlatformFailed("no kubeconfig has it", code="context", fix="Correct kubernetes.context")

    monkeypatch.setattr(found, "at", away)
    (finding,) = preflight.check(settings_of(), found, NAMING)  # type: ignore[arg-type]
    assert (finding.outcome, finding.message, finding.fix) == (
        Outcome.FAIL, "no kubeconfig has it.", "Correct kubernetes.context."
    )  # fmt: skip


def test_a_permission_that_is_missing_is_named() -> None:
    """All of them at once."""
    found = Cluster()
    found.refused = {"create jobs", "list events"}
    (finding,) = [each for each in preflight.check(settings_of(), found, NAMING) if each.outcome is Outcome.FAIL]  # type: ignore[arg-type]
    assert "create jobs" in finding.message
    assert "list events" in finding.message


def test_a_namespace_that_can_never_hold_the_backend_is_refused() -> None:
    """What others use of it is not counted: the rollout says that, and an update without a new pod need not mind."""
    found = Cluster()
    found.put("ResourceQuota", {"metadata": {"name": "team"}, "spec": {"hard": {"pods": "100"}}, "status": {}})
    assert failing(found) == []
    found.put(
        "LimitRange", {"metadata": {"name": "small"}, "spec": {"limits": [{"type": "Pod", "max": {"cpu": "1m"}}]}}
    )
    assert failing(found) == ["quota"]


def test_a_secret_of_others_is_looked_for_with_its_keys() -> None:
    """The command makes it."""
    found = Cluster()
    assert failing(found, "own-s3") == ["secret"]
    found.put("Secret", {"metadata": {"name": "s3-keys"}, "data": {"access-key-id": "", "secret-access-key": ""}})
    assert failing(found, "own-s3") == []


def test_namespaces_of_clients_are_looked_at_each_by_itself() -> None:
    """It has to be there; a login needs more than the address, and takes no Secret of somebody else's."""
    found = Cluster()
    found.put("Secret", {"metadata": {"name": "s3-keys"}, "data": {"access-key-id": "", "secret-access-key": ""}})

    def findings(variant: str = "logins") -> list[str]:
        looked = preflight.check(settings_of(variant), found, NAMING)  # type: ignore[arg-type]
        return [each.prop for each in looked if each.outcome is Outcome.FAIL]

    login = "kubernetes.network.publishedLogins.argo"
    assert findings() == []
    found.refused = {"update secrets in argo", "update secrets in notebooks"}
    assert findings() == [login]
    assert findings("own-s3") == []
    found.refused = {"patch configmaps in notebooks"}
    assert findings() == ["kubernetes.network.publishedTo"]
    found.refused = set()
    found.put("Secret", {"metadata": {"name": NAMING.published(), "labels": NAMING.labels("client")}})
    assert findings() == []
    found.put("Secret", {"metadata": {"name": NAMING.published(), "labels": {"app": "another"}}})
    assert findings() == [login]
    del found.paths["api/v1/namespaces/argo"]
    assert findings() == [login]


def test_the_operators_kinds_are_used_if_the_cluster_has_them() -> None:
    """Each by itself, and one that is missing is said: it fails nothing, because Prometheus can ask without it."""
    found, settings = Cluster(), settings_of("watched")
    looked = preflight.refuse(preflight.check(settings, found, NAMING))  # type: ignore[arg-type]
    assert {each.check for each in looked if each.outcome is Outcome.SKIP} == {"ServiceMonitor", "PrometheusRule"}
    assert preflight.monitors(looked) == ()
    found.paths["apis/monitoring.coreos.com/v1"] = {"resources": [{"name": "servicemonitors"}, {"name": "podmonitors"}]}
    looked = preflight.check(settings, found, NAMING)  # type: ignore[arg-type]
    assert preflight.monitors(looked) == ("ServiceMonitor",)
    found.refused = {"patch servicemonitors", "patch prometheusrules"}
    (finding,) = [each for each in preflight.check(settings, found, NAMING) if each.outcome is Outcome.FAIL]  # type: ignore[arg-type]
    assert "patch servicemonitors" in finding.message
    assert "prometheusrules" not in finding.message
    assert preflight.monitors(preflight.check(settings_of(), found, NAMING)) == ()  # type: ignore[arg-type]
