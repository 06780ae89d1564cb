"""Logins in namespaces of clients: those of now, never in an output, never over a Secret of somebody else."""

from __future__ import annotations

import base64
import json
from types import SimpleNamespace
from typing import Any

import pytest

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.kubernetes import client_logins
from mlflow_backend.kubernetes.kubeconfig import ClusterGone
from mlflow_backend.kubernetes.locator import locator_of
from mlflow_backend.kubernetes.provider import ClientLoginProvider
from mlflow_backend.releases import targets
from tests.components.kubernetes.cluster import Namespace
from tests.components.kubernetes.recording import record
from tests.components.kubernetes.stacks import naming, settings_of

PASSWORD = "a-password-of-a-trainer"
SECRET = "mlflow-cluster.mlflow"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """A namespace of clients without anything in it, and a password where its reference leads."""
    made = Namespace()
    monkeypatch.setattr(client_logins, "api_of", lambda _props: made)
    live = SimpleNamespace(platform=SimpleNamespace(secrets=dict))
    monkeypatch.setattr(targets, "open_releases", lambda _locator: live)
    monkeypatch.setenv("TRAINER_PASSWORD", PASSWORD)
    return made


def props_of(**more: Any) -> dict[str, Any]:
    """Return the inputs of the resource, with others in their place."""
    settings = settings_of("logins")
    names = naming(settings)
    return {
        "locator": locator_of(settings, names).document(),
        "namespace": "argo",
        "secret": names.published(),
        "labels": names.labels("client"),
        "user": "trainer",
        "password": "env:TRAINER_PASSWORD",
        "updateId": "first",
        **more,
    }


def held(cluster: Namespace) -> dict[str, str]:
    """Return what the Secret holds."""
    data = cluster.objects["Secret", SECRET]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_the_secret_holds_what_a_client_reads_and_no_output_does(cluster: Namespace) -> None:
    """Outputs are in Pulumi's state."""
    outputs = client_logins.ensure(props_of())
    assert held(cluster) == {"MLFLOW_TRACKING_USERNAME": "trainer", "MLFLOW_TRACKING_PASSWORD": PASSWORD}
    assert cluster.objects["Secret", SECRET]["metadata"]["namespace"] == "argo"
    assert PASSWORD not in json.dumps(outputs)
    assert outputs == props_of()


def test_it_is_registered_after_the_users() -> None:
    """A client that reads it before its user is there, or has that password, is refused."""
    registered = {each.name: each for each in record("logins")}
    login = registered["mlflow-login-argo"]
    assert registered["mlflow-users"].urn in login.needs
    assert {key: login.inputs[key] for key in client_logins.INPUTS} == {
        key: value for key, value in props_of().items() if key in client_logins.INPUTS
    }
    assert "mlflow-login-notebooks" not in registered


def test_each_update_compares_and_writes_only_what_differs(cluster: Namespace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotated password, and a Secret that somebody changed, are in no input; a preview asks nothing."""
    before = client_logins.ensure(props_of())
    writes = cluster.writes
    assert not ClientLoginProvider().diff("", before, props_of(updateId="")).changes
    assert ClientLoginProvider().diff("", before, props_of(updateId="second")).changes
    client_logins.ensure(props_of(updateId="second"))
    assert cluster.writes == writes
    monkeypatch.setenv("TRAINER_PASSWORD", "another-password-of-a-trainer")
    client_logins.ensure(props_of(updateId="third"))
    assert held(cluster)["MLFLOW_TRACKING_PASSWORD"] == "another-password-of-a-trainer"
    cluster.objects["Secret", SECRET]["data"]["MLFLOW_TRACKING_USERNAME"] = "YWRhCg=="
    client_logins.ensure(props_of(updateId="fourth"))
    assert held(cluster)["MLFLOW_TRACKING_USERNAME"] == "trainer"


def test_another_namespace_is_another_secret_and_another_user_is_not(cluster: Namespace) -> None:
    """The Secret in the namespace that is named no more is deleted."""
    before = client_logins.ensure(props_of())
    assert ClientLoginProvider().diff("", before, props_of(namespace="notebooks")).replaces == ["namespace"]
    changed = ClientLoginProvider().diff("", before, props_of(user="ada", updateId=""))
    assert (changed.changes, changed.replaces) == (True, [])


def test_a_secret_of_somebody_else_is_neither_written_nor_deleted(cluster: Namespace) -> None:
    """Not even if it came after this one."""
    client_logins.ensure(props_of())
    theirs = {"metadata": {"name": SECRET, "labels": {"app": "another"}}, "data": {"a": "Yg=="}}
    cluster.put("Secret", theirs)
    with pytest.raises(PlatformFailed) as refused:
        client_logins.ensure(props_of())
    assert refused.value.code == "secret-of-another"
    client_logins.delete(props_of())
    assert held(cluster) == {"a": "b"}


def test_it_goes_with_the_setting_and_with_a_cluster_that_is_gone(
    cluster: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By its own resource, which a refresh finds gone as well; neither reads the password."""
    before = client_logins.ensure(props_of())
    monkeypatch.delenv("TRAINER_PASSWORD")
    assert client_logins.current(before) == before
    client_logins.delete(before)
    assert cluster.objects == {}
    client_logins.delete(before)
    assert client_logins.current(before) is None

    def gone(_props: Any) -> Any:
        raise ClusterGone("gone", code="kubernetes-cluster-gone", fix="nothing")

    monkeypatch.setattr(client_logins, "api_of", gone)
    assert client_logins.current(before) is None
    client_logins.delete(before)


@pytest.mark.parametrize("value", ["", "short"])
def test_a_password_that_no_client_could_use_is_refused_by_its_setting(
    cluster: Namespace, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """Nothing is written."""
    monkeypatch.setenv("TRAINER_PASSWORD", value)
    with pytest.raises(Refused) as refused:
        client_logins.ensure(props_of())
    assert "access.users.trainer.password" in str(refused.value)
    assert cluster.objects == {}
