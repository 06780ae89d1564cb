"""The server's Secret: drawn once, taken over when it is changed, never mixed up with somebody else's."""

from __future__ import annotations

import base64
import datetime as dt
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.kubernetes import certificate, secrets
from mlflow_backend.kubernetes.kubeconfig import ClusterGone
from mlflow_backend.kubernetes.locator import locator_of
from mlflow_backend.kubernetes.workload import secret_props
from mlflow_backend.pace import Pace
from mlflow_backend.server import keys
from tests.components.kubernetes.cluster import Namespace, deployment, pod
from tests.components.kubernetes.stacks import naming, settings_of

HOSTS = ["mlflow-cluster-database.mlflow.svc"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """A namespace without anything in it."""
    made = Namespace()
    monkeypatch.setattr(secrets, "api_of", lambda _props: made)
    return made


def props_of(variant: str = "cluster") -> dict[str, Any]:
    """Return the inputs of the resource."""
    settings = settings_of(variant)
    return secret_props(settings, naming(settings), locator_of(settings, naming(settings)))


def held(cluster: Namespace, name: str = "mlflow-cluster-server") -> dict[str, str]:
    """Return what a Secret holds."""
    data = cluster.objects["Secret", name]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def put(cluster: Namespace, name: str, values: dict[str, str], labels: dict[str, str] | None = None) -> None:
    """Let a Secret be there."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    cluster.put("Secret", {"metadata": {"name": name, "labels": labels or {}}, "data": data})


def test_everything_is_drawn_once(cluster: Namespace) -> None:
    """A second update of the same stack writes nothing, and its outputs are the same."""
    first = secrets.ensure(props_of())
    values = held(cluster)
    assert set(values) == set(props_of()["names"])
    assert keys.problem(values) is None
    assert values["admin-user"] == "admin"
    writes = cluster.writes
    assert secrets.ensure(props_of()) == first
    assert cluster.writes == writes


def test_no_value_is_among_the_outputs(cluster: Namespace) -> None:
    """They are in Pulumi's state."""
    outputs = json.dumps(secrets.ensure(props_of()))
    for name, value in held(cluster).items():
        if name not in {"admin-user", keys.VERSION, keys.FORMER}:
            assert value not in outputs, name


def test_a_changed_value_is_another_version(cluster: Namespace) -> None:
    """By itself, before any refresh: pods are then rolled, and the role gets the new password."""
    before = secrets.ensure(props_of())
    values = held(cluster)
    put(cluster, "mlflow-cluster-server", {**values, "database-password": "another"}, props_of()["labels"])
    assert secrets.changed(before, props_of())
    after = secrets.ensure(props_of())
    assert after["version"] != before["version"]
    assert (after["keys"], after["certificate"], after["cache"]) == tuple(
        before[each] for each in ("keys", "certificate", "cache")
    )


def test_a_changed_cache_password_is_in_the_url_too(cluster: Namespace) -> None:
    """Otherwise the servers would get the old one."""
    secrets.ensure(props_of())
    put(cluster, "mlflow-cluster-server", {**held(cluster), "cache-password": "p/w"}, props_of()["labels"])
    secrets.ensure(props_of())
    assert held(cluster)["cache-url"] == "redis://:p%2Fw@mlflow-cluster-cache.mlflow.svc:6379/0"


def test_a_secret_of_another_backend_is_not_taken(cluster: Namespace) -> None:
    """Nothing is written."""
    put(cluster, "mlflow-cluster-server", {"a": "b"})
    with pytest.raises(PlatformFailed) as refused:
        secrets.ensure(props_of())
    assert refused.value.code == "secret-of-another"
    assert held(cluster) == {"a": "b"}


@pytest.mark.parametrize("label", ["project", "stack"])
def test_a_secret_of_another_project_or_stack_is_not_taken(cluster: Namespace, label: str) -> None:
    """Two projects in one namespace may call their stacks alike: the second must not serve the first one's data."""
    labels = {**props_of()["labels"], f"mlflow-backend/{label}": "another"}
    put(cluster, "mlflow-cluster-server", {"a": "b"}, labels)
    with pytest.raises(PlatformFailed) as refused:
        secrets.ensure(props_of())
    assert refused.value.code == "secret-of-another"
    assert held(cluster) == {"a": "b"}


@pytest.mark.parametrize(("name", "value"), [("admin-password", "pwd7"), ("webhook-key", "no key"), ("admin-user", "")])
def test_a_value_that_no_server_could_start_with_does_not_come_into_force(
    cluster: Namespace, name: str, value: str
) -> None:
    """The message names the key and not the value."""
    secrets.ensure(props_of())
    put(cluster, "mlflow-cluster-server", {**held(cluster), name: value}, props_of()["labels"])
    with pytest.raises(PlatformFailed) as refused:
        secrets.ensure(props_of())
    assert refused.value.code == "kubernetes-secret-unusable"
    assert name in str(refused.value)
    assert not value or value not in str(refused.value)


def test_rotated_keys_wait_for_an_update_and_keep_the_former_ones(cluster: Namespace) -> None:
    """A pod that is started before the update writes with the keys that its neighbours have."""
    before = secrets.ensure(props_of())
    old = held(cluster)
    secrets.rotate(cluster, "mlflow-cluster-server")  # type: ignore[arg-type]
    assert {name: held(cluster)[name] for name in keys.IN_FORCE} == {name: old[name] for name in keys.IN_FORCE}
    waiting = held(cluster)[secrets.WAITING]
    secrets.rotate(cluster, "mlflow-cluster-server")  # type: ignore[arg-type]
    assert held(cluster)[secrets.WAITING] == waiting
    assert secrets.changed(before, props_of())
    after = secrets.ensure(props_of())
    assert after["keys"] != before["keys"]
    new = held(cluster)
    assert secrets.WAITING not in new
    assert old[keys.PASSPHRASE] in new[keys.FORMER]
    assert int(new[keys.VERSION]) == int(old[keys.VERSION]) + 1


def test_keys_of_a_backend_that_is_not_there_are_not_rotated(cluster: Namespace) -> None:
    """It is refused, and nothing is made."""
    with pytest.raises(Refused):
        secrets.rotate(cluster, "mlflow-cluster-server")  # type: ignore[arg-type]
    assert cluster.objects == {}


def test_a_secret_of_somebody_elses_is_read_and_never_written(cluster: Namespace) -> None:
    """External Secrets would write over it, or against it."""
    props = props_of("adopted")
    with pytest.raises(PlatformFailed) as refused:
        secrets.ensure(props)
    assert refused.value.code == "secret-incomplete"
    secrets.ensure({**props, "owned": True, "secret": "drawn", "given": {}})
    put(cluster, "team-mlflow", held(cluster, "drawn"))
    put(cluster, "team-database", {"password": "x"})
    put(cluster, "team-cache", {"url": "rediss://x"})
    writes = cluster.writes
    before = secrets.ensure(props)
    assert cluster.writes == writes
    put(cluster, "team-database", {"password": "y"})
    assert secrets.ensure(props)["version"] != before["version"]
    secrets.delete({**props, "kept": False})
    assert ("Secret", "team-mlflow") not in cluster.deleted


def test_a_secret_that_opens_what_is_kept_is_kept(cluster: Namespace) -> None:
    """The volume's passwords and the encryption keys would be gone with it."""
    secrets.ensure(props_of())
    secrets.delete(props_of())
    assert cluster.deleted == []
    secrets.delete({**props_of(), "kept": False})
    assert cluster.deleted == [("Secret", "mlflow-cluster-server")]


def ending(cluster: Namespace, *, after: int = 2) -> list[float]:
    """Let a pod be there that ends after so many pauses, or never if it is none, and return the list of the pauses."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == after:
            del cluster.objects["Pod", "one"]

    cluster.put("Pod", pod("one"))
    cluster.objects["Pod", "one"]["spec"]["terminationGracePeriodSeconds"] = 30
    cluster.pace = Pace(clock=lambda: sum(pauses), pause=pause)
    return pauses


def test_the_pods_of_a_deployment_that_goes_end_before_anything_else_goes(cluster: Namespace) -> None:
    """A namespace that is deleted while they end takes half of their grace period more, which is minutes."""
    pauses = ending(cluster)
    cluster.put("Deployment", deployment(1))
    cluster.objects["Deployment", "mlflow-cluster-server"]["metadata"]["deletionTimestamp"] = "2026-11-29T00:00:00Z"
    secrets.delete({**props_of(), "kept": False})
    assert len(pauses) == 2
    assert cluster.deleted == [("Secret", "mlflow-cluster-server")]


def test_pods_that_do_not_end_hold_nothing_up_for_ever(cluster: Namespace) -> None:
    """A node that is lost keeps its pods: after their grace period and a minute the Secret goes."""
    pauses = ending(cluster, after=0)
    secrets.delete({**props_of(), "kept": False})
    assert sum(pauses) == 90
    assert cluster.deleted == [("Secret", "mlflow-cluster-server")]


def test_pods_that_go_on_serving_are_not_waited_for(cluster: Namespace) -> None:
    """The Secret is replaced by another one, and the Deployment stays."""
    pauses = ending(cluster)
    cluster.put("Deployment", deployment(1))
    secrets.delete({**props_of(), "kept": False})
    assert pauses == []


def test_what_went_with_its_cluster_is_deleted_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack whose cluster somebody deleted can be destroyed; a cluster that does not answer is no such thing."""

    def api_of(error: PlatformFailed) -> Namespace:
        raise error

    monkeypatch.setattr(secrets, "api_of", lambda _: api_of(ClusterGone("it is gone", code="gone")))
    secrets.delete({**props_of(), "kept": False})
    monkeypatch.setattr(secrets, "api_of", lambda _: api_of(PlatformFailed("no answer", code="unreachable")))
    with pytest.raises(PlatformFailed):
        secrets.delete({**props_of(), "kept": False})


def test_the_certificate_is_for_the_databases_name_and_its_authority_alone() -> None:
    """What libpq verifies with verify-full."""
    drawn = certificate.draw(HOSTS)
    authority, found = (x509.load_pem_x509_certificate(drawn[name].encode()) for name in ("ca.crt", "tls.crt"))
    found.verify_directly_issued_by(authority)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == HOSTS
    assert PolicyBuilder().store(Store([authority]))
    assert found.not_valid_before_utc < dt.datetime.now(dt.UTC)
    assert certificate.serves(drawn, HOSTS)
    assert not certificate.serves(drawn, ["other"])
    assert not certificate.serves({}, HOSTS)
