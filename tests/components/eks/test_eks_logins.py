"""Logins that AWS keeps, copied into the cluster: always those of now, never in an output, never somebody else's."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from pulumi.output import Unknown

from mlflow_backend.aws.connection import Connection
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.eks import logins
from mlflow_backend.eks.locator import EksLocator, eks_locator
from mlflow_backend.eks.provider import LoginProvider
from mlflow_backend.eks.refusals import naming_of
from mlflow_backend.kubernetes.kubeconfig import ClusterGone
from tests.components.eks.stacks import ACCOUNT, REGION, STACK, settings_of
from tests.components.kubernetes.cluster import Namespace

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-AbCdEf"
PASSWORD = "drawn-by-rds"
UNKNOWN: Any = Unknown()  # type: ignore[no-untyped-call]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """A namespace without anything in it."""
    made = Namespace()
    monkeypatch.setattr(logins, "_api", lambda _located: made)
    return made


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Secrets Manager and RDS answer; the test may change it."""
    answers: dict[str, Any] = {
        "GetSecretValue": {
            "VersionId": "version-1",
            "SecretString": json.dumps({"username": "backend_admin", "password": PASSWORD, "engine": "postgres"}),
        },
        "DescribeDBInstances": {"DBInstances": [{"MasterUserSecret": {"SecretArn": SOURCE}}]},
    }

    def call(_client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        answer = answers[operation]
        if isinstance(answer, Exception):
            raise answer
        if operation == "GetSecretValue":
            assert arguments == {"SecretId": SOURCE}
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return answers


def located() -> EksLocator:
    """Return the locator of the stack under test."""
    settings = settings_of()
    return eks_locator(settings, *naming_of(settings, project="mlflow-backend", stack=STACK), Connection(REGION))


def props(**more: Any) -> dict[str, Any]:
    """Return the inputs of the administrator's copy, with others in their place."""
    found = located()
    usual = {"locator": found.document(), "secret": found.administrator, "labels": found.naming.labels("database")}
    return {**usual, "source": SOURCE, "given": {}, "drawn": [], **more}


def held(cluster: Namespace, name: str) -> Mapping[str, str]:
    """Return what a Secret holds."""
    return {key: base64.b64decode(text).decode() for key, text in cluster.objects["Secret", name]["data"].items()}


def test_a_login_is_copied_and_none_of_it_is_an_output(cluster: Namespace, aws: dict[str, Any]) -> None:
    """Outputs are in Pulumi's state."""
    found = logins.ensure(props())
    assert held(cluster, located().administrator) == {"username": "backend_admin", "password": PASSWORD}
    assert PASSWORD not in json.dumps(found)
    assert aws["GetSecretValue"]["VersionId"] in found["version"]


def test_a_copy_that_is_right_is_left_alone(cluster: Namespace, aws: dict[str, Any]) -> None:
    """An update without a change changes nothing."""
    del aws
    first = logins.ensure(props())
    writes = cluster.writes
    assert logins.ensure(props()) == first
    assert not logins.changed(first, props())
    assert cluster.writes == writes


def test_a_password_that_rds_drew_anew_is_copied_before_it_is_used(cluster: Namespace, aws: dict[str, Any]) -> None:
    """RDS does so by itself, between two updates."""
    first = logins.ensure(props())
    rotated = json.dumps({"username": "backend_admin", "password": "another"})
    aws["GetSecretValue"] = {"VersionId": "version-2", "SecretString": rotated}
    assert logins.changed(first, props())
    logins.renew_administrator(located())
    assert held(cluster, located().administrator)["password"] == "another"
    assert logins.current(props()) == logins.ensure(props())


def test_the_servers_password_is_drawn_once_beside_the_host(cluster: Namespace, aws: dict[str, Any]) -> None:
    """Another host is another copy with the same password."""
    del aws
    own = {"secret": "login", "source": "", "drawn": ["password"]}
    first = logins.ensure(props(**own, given={"host": "db.internal"}))
    drawn = held(cluster, "login")["password"]
    assert len(drawn) >= 32
    assert logins.changed(first, props(**own, given={"host": "db2.internal"}))
    logins.ensure(props(**own, given={"host": "db2.internal"}))
    assert held(cluster, "login") == {"host": "db2.internal", "password": drawn}


def test_a_copy_that_somebody_deleted_is_made_again(cluster: Namespace, aws: dict[str, Any]) -> None:
    """By the next update, without a refresh."""
    del aws
    first = logins.ensure(props())
    cluster.objects.clear()
    assert logins.changed(first, props())
    assert logins.current(props()) is None


def test_a_secret_of_somebody_elses_is_not_written(cluster: Namespace, aws: dict[str, Any]) -> None:
    """Two backends may be in one namespace."""
    del aws
    cluster.put("Secret", {"metadata": {"name": located().administrator, "labels": {}}, "data": {}})
    writes = cluster.writes
    with pytest.raises(PlatformFailed) as failed:
        logins.ensure(props())
    assert failed.value.code == "login-secret-of-another"
    assert cluster.writes == writes


@pytest.mark.parametrize("stored", ["hunter2", "[2]", '{"token": "x"}'])
def test_a_secret_without_a_login_is_said_and_not_shown(cluster: Namespace, aws: dict[str, Any], stored: str) -> None:
    """Its text may be a password."""
    del cluster
    aws["GetSecretValue"] = {"VersionId": "version-1", "SecretString": stored}
    with pytest.raises(PlatformFailed) as failed:
        logins.ensure(props())
    assert failed.value.code == "login-malformed"
    assert stored not in str(failed.value)


@pytest.mark.parametrize(
    ("operation", "code"), [("GetSecretValue", "login-not-answered"), ("DescribeDBInstances", "rds-not-answered")]
)
def test_an_answer_that_is_refused_is_said_by_its_service(
    cluster: Namespace, aws: dict[str, Any], operation: str, code: str
) -> None:
    """With the permission that is missing."""
    del cluster
    aws[operation] = ClientError({"Error": {"Code": "AccessDeniedException"}}, operation)
    with pytest.raises(PlatformFailed) as failed:
        logins.renew_administrator(located())
    assert failed.value.code == code


def test_what_went_with_its_cluster_is_deleted_already(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stack whose cluster somebody deleted can be destroyed and refreshed."""

    def gone(_located: EksLocator) -> Namespace:
        raise ClusterGone("it is gone", code="gone")

    monkeypatch.setattr(logins, "_api", gone)
    logins.delete(props())
    assert logins.current(props()) is None


def test_the_resource_follows_what_aws_has(cluster: Namespace, aws: dict[str, Any]) -> None:
    """Made, unchanged, updated by another version, gone; another Secret is another resource."""
    provider = LoginProvider()
    made = provider.create(props())
    assert made.id == located().administrator
    assert made.outs is not None
    assert provider.diff(made.id, made.outs, props()).changes is False
    assert provider.read(made.id, made.outs).id == made.id
    aws["GetSecretValue"] = {**aws["GetSecretValue"], "VersionId": "version-2"}
    assert provider.diff(made.id, made.outs, props()).changes is True
    updated = provider.update(made.id, made.outs, props())
    assert updated.outs is not None
    assert updated.outs["version"] != made.outs["version"]
    assert provider.diff(made.id, updated.outs, props(secret="renamed")).replaces == ["secret"]
    assert provider.diff(made.id, updated.outs, props(source=UNKNOWN)).changes is True
    provider.delete(made.id, updated.outs)
    assert not cluster.objects
    assert provider.read(made.id, updated.outs).id == ""
