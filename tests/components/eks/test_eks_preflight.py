"""What is looked at before anything is made: the cluster by AWS, its add-ons, then what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render.cluster import ADDONS
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.eks import addons, preflight
from mlflow_backend.eks.locator import eks_locator
from mlflow_backend.eks.platform import EksPlatform
from mlflow_backend.eks.refusals import naming_of
from mlflow_backend.eks.target import TARGET
from mlflow_backend.eks.within import within
from mlflow_backend.findings import Finding, Outcome, passed
from mlflow_backend.kubernetes import preflight as of_kubernetes
from tests.components.eks.stacks import REGION, STACK, settings_of

ABSENT = ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "x")
DENIED = ClientError({"Error": {"Code": "AccessDeniedException"}}, "x")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What EKS answers, by the operation and the add-on; the test may change it."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    answers: dict[str, Any] = {
        "DescribeCluster": {"cluster": {"status": "ACTIVE"}},
        "eks-pod-identity-agent": {"addon": {}},
        "vpc-cni": {"addon": {"configurationValues": '{"enableNetworkPolicy": "true"}'}},
    }

    def call(_client: Any, operation: str, arguments: dict[str, Any]) -> Any:
        answer = answers[arguments.get("addonName", operation)]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    return answers


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The checks that Kubernetes's preflight is told to leave out, for each time that it is asked."""
    found: list[tuple[str, ...]] = []

    def check(_settings: Any, _api: Any, _naming: Any, *, made: tuple[str, ...]) -> tuple[Finding, ...]:
        found.append(made)
        return (passed("api server", "kubernetes", "it runs."),)

    monkeypatch.setattr(of_kubernetes, "check", check)
    return found


def check(variant: str) -> dict[str, Outcome]:
    """Return what was found of a variant, by the check."""
    settings = settings_of(variant)
    names = naming_of(settings, project="mlflow-backend", stack=STACK)
    located = eks_locator(settings, *names, Connection(REGION))
    return {each.check: each.outcome for each in preflight.check(settings, within(settings, *names), located)}


def test_a_cluster_that_is_not_made_yet_is_skipped_visibly(aws: dict[str, Any], asked: list[Any]) -> None:
    """A first preview must not fail for what its update makes."""
    aws["DescribeCluster"] = ABSENT
    assert check("eks") == {"cluster": Outcome.SKIP}
    aws["DescribeCluster"] = {"cluster": {"status": "CREATING"}}
    assert check("eks") == {"cluster": Outcome.SKIP}
    assert not asked


def test_an_adopted_cluster_must_be_there(aws: dict[str, Any], asked: list[Any]) -> None:
    """Nobody else will make it."""
    aws["DescribeCluster"] = ABSENT
    assert check("adopted") == {"cluster": Outcome.FAIL}
    assert not asked


@pytest.mark.parametrize("variant", ["eks", "adopted"])
def test_a_cluster_that_may_not_be_looked_at_fails(aws: dict[str, Any], asked: list[Any], variant: str) -> None:
    """An update could not log in to it either."""
    aws["DescribeCluster"] = DENIED
    assert check(variant) == {"cluster": Outcome.FAIL}
    assert not asked


def test_what_the_update_makes_is_not_asked_for(aws: dict[str, Any], asked: list[Any]) -> None:
    """An update that failed half-way is repeated: namespace and Secrets may be missing."""
    del aws
    assert check("eks") == {"cluster": Outcome.PASS, "api server": Outcome.PASS}
    check("adopted")
    assert asked == [("namespace", "secrets", "storage_class", "architecture"), ("secrets",)]


def test_an_adopted_cluster_gives_pods_their_roles_and_enforces_policies(aws: dict[str, Any], asked: list[Any]) -> None:
    """Policies that are taken and ignored are the worst kind."""
    del asked
    found = check("adopted")
    assert (found["pod identities"], found["network policies"]) == (Outcome.PASS, Outcome.PASS)
    aws["eks-pod-identity-agent"] = ABSENT
    for ignored in ("", "{}", '{"enableNetworkPolicy": "false"}', "no JSON"):
        aws["vpc-cni"] = {"addon": {"configurationValues": ignored}}
        found = check("adopted")
        assert (found["pod identities"], found["network policies"]) == (Outcome.FAIL, Outcome.FAIL), ignored
    aws["eks-pod-identity-agent"] = aws["vpc-cni"] = DENIED
    found = check("adopted")
    assert (found["pod identities"], found["network policies"]) == (Outcome.SKIP, Outcome.SKIP)


def test_versions_of_add_ons_are_pinned_or_asked_for_and_never_made_up(aws: dict[str, Any]) -> None:
    """EKS is asked for those alone that the settings do not name."""
    for each in ADDONS:
        fits = [{"clusterVersion": "1.34", "defaultVersion": True}]
        offered = [{"addonVersion": "v1.0.0-eksbuild.7", "compatibilities": fits}]
        aws[each.name] = {"addons": [{"addonName": each.name, "addonVersions": offered}]}
    aws["vpc-cni"] = DENIED
    found = addons.versions(settings_of("private"), Connection(REGION))
    assert found == {each.name: "v1.0.0-eksbuild.7" for each in ADDONS} | {"vpc-cni": "v1.20.4-eksbuild.1"}
    with pytest.raises(PlatformFailed) as failed:
        addons.versions(settings_of("eks"), Connection(REGION))
    assert failed.value.code == "eks-addons-not-answered"


def test_a_backend_without_its_cluster_is_not_deployed(aws: dict[str, Any]) -> None:
    """Commands say so, and a preview goes on."""
    aws["DescribeCluster"] = ABSENT
    with pytest.raises(Refused) as refused:
        TARGET.locate(settings_of, project="mlflow-backend", stack=STACK, folder=Path())
    assert refused.value.code == "backend-not-found"
    settings = settings_of()
    names = naming_of(settings, project="mlflow-backend", stack=STACK)
    platform = TARGET.platform(eks_locator(settings, *names, Connection(REGION)))
    assert isinstance(platform, EksPlatform)
    assert platform.heads() is None


def test_the_target_looks_shows_and_counts_without_pulumi(aws: dict[str, Any], asked: list[Any]) -> None:
    """What `doctor` and a preview's report ask of it."""
    del asked
    aws["DescribeCluster"] = ABSENT
    found = TARGET.doctor(settings_of(), project="mlflow-backend", stack=STACK, folder=Path())
    assert [each.outcome for each in found] == [Outcome.SKIP]
    parts = TARGET.rendered(settings_of(), project="mlflow-backend", stack=STACK, image=None)
    assert parts.image_known
    assert "server" in parts.containers
    assert "aws:eks/cluster:Cluster" in TARGET.billing()
    # The bucket of a backend is found by whichever target knows buckets; its locator says that it is of this one.
    assert TARGET.store_at("s3://bucket/mlflow") is None
    assert TARGET.locator.kind == TARGET.name
