"""How a cluster of EKS is reached: a token of AWS credentials, and the address by AWS's own answer."""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from mlflow_backend.aws.connection import Connection
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.eks import tokens
from mlflow_backend.eks.connection import EksConnection
from mlflow_backend.kubernetes import certificate, kubeconfig

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

REGION, CLUSTER = "eu-west-1", "team-tracking"
ARN = f"arn:aws:eks:{REGION}:123456789012:cluster/{CLUSTER}"
NOW = dt.datetime(2026, 11, 28, 12, 0, tzinfo=dt.UTC)
SECRET_KEY = "not-a-key-that-opens-anything"
EKS = EksConnection(aws=Connection(REGION), cluster=CLUSTER, context=ARN)


@pytest.fixture(autouse=True)
def _logged_in(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Let EKS answer a description of the cluster; anything else is asked of nobody."""

    def let(answer: Any) -> None:
        def call(_client: Any, operation: str, arguments: dict[str, Any]) -> Any:
            assert (operation, arguments) == ("DescribeCluster", {"name": CLUSTER})
            if isinstance(answer, Exception):
                raise answer
            return {"cluster": answer}

        monkeypatch.setattr(BaseClient, "_make_api_call", call)

    return let


def described(**more: Any) -> dict[str, Any]:
    """Return a cluster as EKS describes it."""
    authority = base64.b64encode(certificate.draw(["api.example.com"])["ca.crt"].encode()).decode()
    return {"endpoint": "https://api.example.com", "certificateAuthority": {"data": authority}, **more}


def url_of(token: str) -> str:
    """Return the URL that a token is."""
    text = token.removeprefix(tokens.PREFIX)
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()


def test_a_token_asks_sts_for_its_signer_and_names_the_cluster() -> None:
    """The authenticator takes no other form; signed for one cluster, another one refuses it."""
    found = tokens.token(Connection(REGION), CLUSTER)
    assert found.startswith("k8s-aws-v1.")
    assert "=" not in found
    url = urlsplit(url_of(found))
    query = {key: value for key, (value,) in parse_qs(url.query).items()}
    assert url.scheme == "https"
    assert url.hostname == f"sts.{REGION}.amazonaws.com"
    assert query["Action"] == "GetCallerIdentity"
    assert query["X-Amz-Expires"] == "60"
    assert set(query["X-Amz-SignedHeaders"].split(";")) == {"host", "x-k8s-aws-id"}
    assert SECRET_KEY not in url_of(found)


def test_a_token_asks_sts_also_if_the_deployer_reaches_it_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster's authenticator would refuse the address of an endpoint in somebody's network."""
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.setenv(name, "https://endpoint.example.com")
    assert urlsplit(url_of(tokens.token(Connection(REGION), CLUSTER))).hostname == f"sts.{REGION}.amazonaws.com"


def test_another_cluster_is_another_signature() -> None:
    """The name is in what is signed."""
    signatures = {
        parse_qs(urlsplit(url_of(tokens.token(Connection(REGION), each))).query)["X-Amz-Signature"][0]
        for each in ("one", "two")
    }
    assert len(signatures) == 2


def test_without_credentials_nothing_is_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One clear error, not a call that the API refuses."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(Refused) as refused:
        tokens.token(Connection(REGION), CLUSTER)
    assert refused.value.code == "eks-no-credentials"
    assert tokens.main(["--cluster", CLUSTER, "--region", REGION]) == refused.value.exit_code


def test_a_credential_ends_before_the_authenticator_refuses_it() -> None:
    """Whoever holds one asks for the next in time."""
    found = tokens.credential(Connection(REGION), CLUSTER, now=NOW)
    ends = dt.datetime.fromisoformat(found["status"]["expirationTimestamp"])
    assert dt.timedelta(minutes=10) < ends - NOW < dt.timedelta(minutes=15)


def test_a_cluster_is_logged_in_to_by_its_description(answers: Callable[[Any], None]) -> None:
    """The address and the authority are AWS's; the token is ours."""
    answers(described())
    login = EKS.log_in()
    assert login.server == "https://api.example.com"
    assert login.headers["Authorization"].startswith(f"Bearer {tokens.PREFIX}")
    assert len(login.tls.get_ca_certs()) == 1


def test_a_cluster_that_is_gone_is_told_from_one_that_does_not_answer(answers: Callable[[Any], None]) -> None:
    """Only of the first one nothing is left to delete."""
    answers(ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "DescribeCluster"))
    assert EKS.describe() is None
    with pytest.raises(kubeconfig.ClusterGone):
        EKS.log_in()
    answers(ClientError({"Error": {"Code": "AccessDeniedException"}}, "DescribeCluster"))
    with pytest.raises(PlatformFailed) as failed:
        EKS.log_in()
    assert not isinstance(failed.value, kubeconfig.ClusterGone)
    assert failed.value.code == "eks-not-answered"


@pytest.mark.parametrize(
    ("lacking", "code"),
    [
        ({"endpoint": None, "status": "CREATING"}, "eks-cluster-not-ready"),
        ({"certificateAuthority": {}}, "eks-cluster-not-ready"),
        ({"certificateAuthority": {"data": "bm8gY2VydGlmaWNhdGU="}}, "eks-authority-damaged"),
    ],
)
def test_a_cluster_without_an_address_or_an_authority_is_said(
    answers: Callable[[Any], None], lacking: dict[str, Any], code: str
) -> None:
    """A cluster that is being made has none yet."""
    answers(described(**lacking))
    with pytest.raises(PlatformFailed) as failed:
        EKS.log_in()
    assert failed.value.code == code


def test_the_kubeconfig_holds_no_token_and_gives_one(tmp_path: Path) -> None:
    """By the plugin, as the provider's own client runs it, from the folder that Pulumi runs it in."""
    text = EKS.kubeconfig(endpoint="https://api.example.com", authority=described()["certificateAuthority"]["data"])
    assert tokens.PREFIX not in text
    path = tmp_path / "kubeconfig"
    path.write_text(text, encoding="utf-8")
    login = kubeconfig.Connection(str(path), ARN).log_in()
    assert login.server == "https://api.example.com"
    assert login.headers["Authorization"].startswith(f"Bearer {tokens.PREFIX}")


def test_the_kubeconfig_is_the_same_in_every_checkout(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise each colleague's preview would change the provider."""
    found = set()
    for checkout in ("mine", "yours"):
        folder = tmp_path / checkout
        folder.mkdir()
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "executable", str(folder / ".venv/bin/python"))
        found.add(EKS.kubeconfig(endpoint="https://api.example.com", authority="YQ=="))
    (text,) = found
    assert json.loads(text)["users"][0]["user"]["exec"]["command"] == "./.venv/bin/python"


def test_a_role_and_a_profile_reach_the_plugin() -> None:
    """Whoever deploys with a role is that role for the cluster too."""
    connection = Connection(REGION, "team", "arn:aws:iam::123456789012:role/deploy")
    arguments = tokens.plugin("python", connection, CLUSTER)["args"]
    assert arguments[arguments.index("--role") + 1] == connection.role
    assert arguments[arguments.index("--profile") + 1] == "team"


def test_the_plugin_says_what_is_missing() -> None:
    """Its error is shown by whatever client started it."""
    done = subprocess.run(
        [sys.executable, "-m", tokens.__name__, "--cluster", CLUSTER],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "--region" in done.stderr
