"""A cluster of EKS as a deployer meets it: Pulumi's real plugin and the live side log in to it by AWS credentials."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from botocore.client import BaseClient

from mlflow_backend.aws.connection import Connection
from mlflow_backend.eks import tokens
from mlflow_backend.eks.connection import EksConnection
from mlflow_backend.kubernetes.api import Api, Refusal
from tests.engine.project import ROOT, Project
from tests.rig.kubernetes.eks import Endpoint
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = pytest.mark.slow

REGION, NAME = "eu-west-1", "team"
ARN = f"arn:aws:eks:{REGION}:123456789012:cluster/{NAME}"
KEY, SECRET = "AKIAADMINISTRATOR", "opens-the-rigs-cluster-only"
_PROGRAM = """
import pulumi
import pulumi_kubernetes as kubernetes
from mlflow_backend.aws.connection import Connection
from mlflow_backend.eks.connection import EksConnection

config = pulumi.Config()
connection = EksConnection(aws=Connection(config.require("region")), cluster=config.require("cluster"), context="arn")
provider = kubernetes.Provider(
    "cluster",
    kubeconfig=connection.kubeconfig(endpoint=config.require("endpoint"), authority=config.require("authority")),
    cluster_identifier="arn",
    delete_unreachable=config.require_bool("ours"),
)
for number in range(3):
    kubernetes.core.v1.ConfigMap(
        f"map-{number}",
        metadata={"name": f"map-{number}", "namespace": config.require("namespace")},
        data={"number": str(number)},
        opts=pulumi.ResourceOptions(provider=provider),
    )
"""


@pytest.fixture(autouse=True)
def _logged_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # The plugin leaves a copy of the kubeconfig there at each start.
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def endpoint(cluster: Cluster) -> Iterator[Endpoint]:
    """The endpoint of a cluster that these keys administer."""
    with Endpoint(NAME, cluster.authority, keys={KEY: SECRET}) as made:
        yield made


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of this test's own."""
    with cluster.namespace("eks") as made:
        yield made


def deployed(tmp_path: Path, cluster: Cluster, endpoint: Endpoint, namespace: str, *, ours: bool) -> Project:
    """Return a stack whose program reaches the endpoint as a backend on EKS does, deployed."""
    program = tmp_path / "program"
    program.mkdir()
    (program / "__main__.py").write_text(_PROGRAM)
    (program / "Pulumi.yaml").write_text("name: mlflow-backend\nruntime: python\n")
    inside = tmp_path / "project" / ".venv"
    project = Project(tmp_path, "eks", program=program, virtualenv=inside)
    inside.symlink_to(ROOT / ".venv")
    cluster.install_plugin(project.home)
    project.init()
    found = endpoint.described
    project.write_config({
        "region": REGION,
        "cluster": NAME,
        "endpoint": found["endpoint"],
        "authority": found["certificateAuthority"]["data"],
        "namespace": namespace,
        "ours": ours,
    })  # fmt: skip
    project.must_up()
    return project


def api_of(endpoint: Endpoint, namespace: str, monkeypatch: pytest.MonkeyPatch, *, cluster: str = NAME) -> Api:
    """Return the live side's API, to which AWS describes the endpoint."""

    def call(_client: Any, operation: str, _arguments: dict[str, Any]) -> Any:
        assert operation == "DescribeCluster"
        return {"cluster": endpoint.described}

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return Api(connection=EksConnection(aws=Connection(REGION), cluster=cluster, context=ARN), namespace=namespace)


def test_the_real_plugin_logs_in_by_tokens_and_finds_no_change(
    cluster: Cluster, endpoint: Endpoint, namespace: str, tmp_path: Path
) -> None:
    """It runs the credential plugin itself; a second update, with other tokens, changes nothing."""
    project = deployed(tmp_path, cluster, endpoint, namespace, ours=True)
    assert {each["metadata"]["name"] for each in cluster.get("configmaps", namespace)} >= {"map-0", "map-1", "map-2"}
    # From the folder that the plugin runs in, so that another checkout is no other provider.
    assert "./.venv/bin/python" in project.pulumi("stack", "export").text
    first = set(endpoint.tokens)
    again = project.up("--refresh", "--expect-no-changes")
    assert again.ok, again.text
    assert set(endpoint.tokens) > first
    gone = project.destroy()
    assert gone.ok, gone.text
    assert not [each for each in cluster.get("configmaps", namespace) if each["metadata"]["name"].startswith("map-")]


@pytest.mark.parametrize("ours", [True, False], ids=["created", "adopted"])
def test_a_stack_is_destroyed_after_its_cluster_and_not_after_somebody_elses(
    cluster: Cluster, namespace: str, tmp_path: Path, *, ours: bool
) -> None:
    """What was in a cluster that the stack made went with it; of an adopted one that is not known."""
    with Endpoint(NAME, cluster.authority, keys={KEY: SECRET}) as endpoint:
        project = deployed(tmp_path, cluster, endpoint, namespace, ours=ours)
    gone = project.destroy()
    assert gone.ok is ours, gone.text


def test_the_live_side_logs_in_and_renews_a_token_that_ended(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A migration may take longer than a token lasts."""
    with Endpoint(NAME, cluster.authority, keys={KEY: SECRET}, uses=2) as endpoint:
        api = api_of(endpoint, namespace, monkeypatch)
        given: list[str] = []

        def another(connection: Connection, name: str) -> str:
            """Return a token that was not given before: two of one second are equal."""
            until(lambda: tokens.token(connection, name) not in given, what="another token", deadline_s=5)
            given.append(tokens.token(connection, name))
            return given[-1]

        monkeypatch.setattr("mlflow_backend.eks.connection.token", another)
        for number in range(5):
            name = f"made-{number}"
            assert api.create("ConfigMap", {"metadata": {"name": name}, "data": {}})
            assert api.get("ConfigMap", name) is not None
        assert len(given) > 2


def test_nobody_else_is_let_in(
    cluster: Cluster, endpoint: Endpoint, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a token for another cluster, nor another signer, nor one whose secret is wrong."""
    del cluster
    assert endpoint.refusal("Bearer admintoken")
    assert endpoint.refusal(f"Bearer {tokens.PREFIX}aGVsbG8")
    assert not endpoint.refusal(f"Bearer {tokens.token(Connection(REGION), NAME)}")
    with pytest.raises(Refusal) as refused:
        api_of(endpoint, namespace, monkeypatch, cluster="other").get("ConfigMap", "kube-root-ca.crt")
    assert refused.value.status == 401
    for name, value in (("AWS_SECRET_ACCESS_KEY", "wrong"), ("AWS_ACCESS_KEY_ID", "AKIASOMEBODYELSE")):
        monkeypatch.setenv(name, value)
        assert endpoint.refusal(f"Bearer {tokens.token(Connection(REGION), NAME)}"), name
