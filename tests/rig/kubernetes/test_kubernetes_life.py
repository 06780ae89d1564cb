"""The life of a backend on a real cluster, with real MLflow: made, unchanged, drifted, upgraded, rolled back, adopted.

The stack is the shipped `cluster` with two servers. The tests stand in the order of that life.
"""

from __future__ import annotations

import base64
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from mlflow_backend.contract import ExitCode
from mlflow_backend.kubernetes.naming import DATABASE, SERVER
from tests.engine.stack import nothing_changed
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.load import Load
from tests.server.services import until
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from urllib3 import BaseHTTPResponse

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CLIENTS = ROOT / "examples" / "clients"
_REPLICAS, _RUNS = 2, 3
_WRITTEN: Final = [0.0, 0.1, 0.2]


class Life:
    """The stack, and what its tests keep for the ones after them."""

    def __init__(self, stack: ClusterStack) -> None:
        """Deploy it, and write to it."""
        self.stack = stack
        stack.must_up()
        stack.write_runs("before", _RUNS)
        self.first = self.revision
        self.second = ""

    @property
    def revision(self) -> str:
        """The revision that the last update says it serves."""
        return str(self.stack.outputs()["release"]["revision"])

    def pods(self) -> set[str]:
        """Hold the cluster to the revision of the last update, and return its pods."""
        return self.stack.until_serving(self.revision, pods=_REPLICAS)


@pytest.fixture(scope="module")
def life(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack, deployed into an empty namespace."""
    with laid_out(tmp_path_factory.mktemp("life") / "stack", cluster, "life") as stack:
        yield Life(stack)


def test_the_first_update_is_verified(life: Life) -> None:
    """A green update means that MLflow works: the checks passed, and two pods of the revision serve."""
    outputs = life.stack.outputs()
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    assert outputs["release"]["mlflowVersion"] == life.stack.settings["server"]["mlflowVersion"]
    assert len(life.pods()) == _REPLICAS
    assert not life.stack.has_candidate


def test_it_answers_by_every_name_that_its_users_have(life: Life) -> None:
    """MLflow refuses a Host that it does not know: that of ingress, Service and port-forward."""
    stack, path = life.stack, "api/2.0/mlflow/experiments/get?experiment_id=0"
    service = f"{stack.naming.host()}.cluster.local"
    assert stack.ask(path).status == 200
    prefix = stack.naming.prefix
    for host in (service, stack.naming.host(), f"{prefix}.{stack.namespace}", prefix, "localhost:5000"):
        answer = stack.ask(path, base=f"http://{service}", Host=host)
        assert answer.status == 200, (host, answer.data)
    assert stack.ask(path, base=f"http://{service}", Host="elsewhere.example.com").status == 403


@pytest.mark.full
def test_a_training_in_another_namespace_is_tracked(life: Life) -> None:
    """The example Job, by the address and the login that are published to it, in a pod that is restricted as it says.

    The login's password is in no state; it follows the one that its reference names, and goes with the setting.
    """
    stack, before, password = life.stack, life.stack.settings, life.stack.folder / "trainer"
    code = {path.name: path.read_text() for path in (CLIENTS / "train.py", ROOT / "client" / "mlflow_backend_gate.py")}
    code["ca.pem"] = stack.cluster.authority.root.read_text()
    mounted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "training"}, "data": code}
    with stack.cluster.namespace("training") as namespace:
        stack.write_settings(
            access={"users": {"trainer": {"password": f"file:{password}"}}},
            kubernetes={"network": {"publishedTo": [namespace], "publishedLogins": {namespace: "trainer"}}},
        )
        for value in ("a-password-of-a-trainer", "another-password-of-a-trainer"):
            password.write_text(value)
            stack.must_up()
            assert login(stack, namespace) == {
                "MLFLOW_TRACKING_USERNAME": "trainer", "MLFLOW_TRACKING_PASSWORD": value
            }  # fmt: skip
            assert value not in json.dumps(stack.state_of_resources())
        (job,) = yaml.safe_load_all((CLIENTS / "job-as-user.yaml").read_text())
        fit(job, namespace=namespace, name=stack.naming.published(), image=stack.settings["server"]["image"])
        stack.cluster.apply(mounted, job, namespace=namespace)
        until(lambda: ended(stack, namespace), what="the end of the training", deadline_s=240)
        said = stack.cluster.kubectl("logs", "job/train", "--all-containers", "-n", namespace)
        stack.settings = before
        stack.write_settings()
        stack.must_up()
        assert login(stack, namespace) == {}
    experiment = stack.call("experiments/get-by-name?experiment_name=forecasts")["experiment"]["experiment_id"]
    (run,) = stack.call("runs/search", {"experiment_ids": [experiment]})["runs"]
    assert run["info"]["status"] == "FINISHED", said
    assert {each["key"] for each in run["data"]["metrics"]} == {"batches_of_worker_0", "batches_of_worker_1", "loss"}


def login(stack: ClusterStack, namespace: str) -> dict[str, str]:
    """Return what the Secret of a namespace of clients holds; nothing if there is none."""
    found = {each["metadata"]["name"]: each for each in stack.cluster.get("secrets", namespace)}
    data = found.get(stack.naming.published(), {"data": {}})["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def fit(job: dict[str, Any], *, namespace: str, name: str, image: str) -> None:
    """Give a Job the names of this backend, and code that is mounted into an image that has MLflow."""
    job["metadata"]["namespace"] = namespace
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for each in container["envFrom"]:
        (reference,) = each.values()
        reference["name"] = name
    container |= {
        "image": image,
        "command": ["python", "/code/train.py"],
        # Of a node that is small.
        "resources": {"requests": {"cpu": "64m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
    }
    # Who signed the certificate of the rig's ingress is known to nobody else; the gate and MLflow ask for one each.
    container["env"] += [{"name": name, "value": "/code/ca.pem"} for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")]
    container["volumeMounts"].append({"name": "code", "mountPath": "/code"})
    pod["volumes"].append({"name": "code", "configMap": {"name": "training"}})


def ended(stack: ClusterStack, namespace: str) -> bool:
    """Whether the training ended well; fails if it cannot any more."""
    (job,) = stack.cluster.get("jobs", namespace)
    status = job.get("status", {})
    assert not status.get("failed"), stack.cluster.kubectl("logs", "job/train", "--all-containers", "-n", namespace)
    return bool(status.get("succeeded"))


def test_an_update_without_changes_verifies_and_changes_nothing(life: Life) -> None:
    """No pod is replaced, and nothing of the cluster is touched."""
    before = life.pods()
    again = life.stack.must_up()
    assert nothing_changed(again.text), again.text
    assert life.pods() == before


def test_a_refreshing_preview_sees_no_difference(life: Life) -> None:
    """What the cluster adds to objects (defaults, replicas, status) is no drift."""
    preview = life.stack.pulumi("preview", "--refresh", "--diff", "--stack", life.stack.name)
    assert preview.ok, preview.text
    assert nothing_changed(preview.text), preview.text


def test_drift_is_put_right(life: Life) -> None:
    """What somebody deleted or changed with kubectl is as the settings say after the next refreshing update."""
    stack, before = life.stack, life.pods()
    server = stack.naming.part(SERVER)
    stack.kubectl("delete", "poddisruptionbudget", server)
    stack.kubectl("delete", "networkpolicy", server)
    stack.kubectl("patch", "horizontalpodautoscaler", server, "-p", json.dumps({"spec": {"maxReplicas": 9}}))
    stack.kubectl("patch", "deployment", server, "-p", json.dumps({"spec": {"progressDeadlineSeconds": 77}}))
    stack.must_up("--refresh")
    assert server in stack.found("poddisruptionbudgets")
    assert server in stack.found("networkpolicies")
    spec = {
        kind: json.loads(stack.kubectl("get", kind, server, "-o", "json"))["spec"]
        for kind in ("horizontalpodautoscaler", "deployment")
    }
    assert spec["horizontalpodautoscaler"]["maxReplicas"] == _REPLICAS
    assert spec["deployment"]["progressDeadlineSeconds"] != 77
    assert life.pods() == before


_SLOW: Final = "api/2.0/mlflow-artifacts/artifacts/0/slow"
_SLOW_S: Final = 10


def pieces() -> Iterator[bytes]:
    """Give a body piece by piece, one a second: that pace is what makes the request slow."""
    for _ in range(_SLOW_S):
        yield b"piece"
        time.sleep(1)


def test_an_upgrade_rolls_every_pod_without_a_failed_request(life: Life) -> None:
    """Another release is verified apart, then the pods are replaced one by one: slow requests too are answered."""
    stack = life.stack
    stack.write_settings(server={"requestTimeout": 290})
    requests: dict[str, Callable[[], BaseHTTPResponse]] = {
        "short": partial(stack.ask, "api/2.0/mlflow/experiments/get?experiment_id=0"),
        "slow": lambda: stack.upload(_SLOW, pieces()),
    }
    with Load(requests) as load:
        stack.must_up()
        life.second = life.revision
        life.pods()
        # The last pods of the old revision take requests while they drain.
        until(lambda: not _ending(stack), what="the end of the old pods", deadline_s=240)
    assert life.second != life.first
    assert load.failed == []
    assert load.answered["short"] > 20
    assert load.answered["slow"] > 2
    assert not stack.has_candidate
    assert stack.outputs()["verification"]["verdict"] == "pass"


_ROLLOUTS: Final = 3


@pytest.mark.full
def test_without_the_pre_stop_a_rollout_fails_requests(life: Life) -> None:
    """What the test above would see: pods stop to listen while proxies still send to them.

    Whether a request meets such a pod is a race of a second at most, so that there are rollouts until one does.
    """
    stack, before, of_pod = life.stack, life.revision, "/spec/template/spec"
    roll_out(stack, {"op": "remove", "path": f"{of_pod}/containers/0/lifecycle"})
    asked = partial(stack.ask, "api/2.0/mlflow/experiments/get?experiment_id=0")
    with Load({f"short-{each}": asked for each in range(4)}) as load:
        for grace_s in range(60, 60 + _ROLLOUTS):
            roll_out(stack, {"op": "replace", "path": f"{of_pod}/terminationGracePeriodSeconds", "value": grace_s})
            if load.failed:
                break
    assert load.failed
    stack.must_up("--refresh")
    life.pods()
    assert life.revision == before


def roll_out(stack: ClusterStack, change: dict[str, Any]) -> None:
    """Change the pods of the servers by hand, and wait until those from before have ended."""
    server = f"deployment/{stack.naming.part(SERVER)}"
    stack.kubectl("patch", server, "--type=json", "-p", json.dumps([change]))
    stack.cluster.kubectl("rollout", "status", server, "--timeout=240s", "-n", stack.namespace, deadline_s=250)
    until(lambda: not _ending(stack), what="the end of the old pods", deadline_s=240)


def _ending(stack: ClusterStack) -> set[str]:
    pods = stack.cluster.get("pods", stack.namespace)
    return {each["metadata"]["name"] for each in pods if "deletionTimestamp" in each["metadata"]}


def test_a_rollback_serves_the_first_revision_and_pins_it(life: Life) -> None:
    """Both have one schema: SAFE, verified, pinned; Pulumi's state and the cluster agree."""
    stack = life.stack
    done = stack.script("rollback", "--to", life.first, "--yes", "--reason", "a test")
    assert done.code == ExitCode.DONE, done.text
    before = stack.until_serving(life.first, pods=_REPLICAS)
    held = stack.up("--refresh")
    assert not held.ok, held.text
    assert "a test" in held.text
    assert stack.until_serving(life.first, pods=_REPLICAS) == before


def test_destroy_leaves_only_what_is_protected(life: Life) -> None:
    """The volume and the Secret that opens it stay; what a team made by itself is not touched."""
    stack = life.stack
    lifted = stack.script("rollback", "--unpin")
    assert lifted.code == ExitCode.DONE, lifted.text
    gone = stack.destroy()
    assert gone.ok, gone.text
    assert not stack.found("pods"), "a namespace that is deleted while pods end takes minutes longer"
    assert stack.found("secrets") == {*stack.given_secrets, stack.naming.part(SERVER)}
    assert stack.found("persistentvolumeclaims") == {f"data-{stack.naming.part(DATABASE)}-0"}
    kinds = "deployments,statefulsets,services,ingresses,networkpolicies,jobs,podtemplates,poddisruptionbudgets,hpa"
    assert stack.found(kinds) == set()
    assert stack.found("configmaps") == {"kube-root-ca.crt"}
    assert stack.found("serviceaccounts") == {"default"}


def test_the_next_update_adopts_what_was_left(life: Life) -> None:
    """The database has every run, and users log in with the password that they know.

    Without the pin it serves the release of the settings again, whose revision has the same name.
    """
    life.stack.must_up()
    assert life.revision == life.second
    life.pods()
    assert life.stack.read_runs("before") == _WRITTEN
