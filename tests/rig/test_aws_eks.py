"""The emulated EKS: states that follow each other, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.rig.aws.eks.model import Eks, Refusal

_CLUSTER = {
    "name": "team",
    "roleArn": "arn:aws:iam::123456789012:role/cluster",
    "resourcesVpcConfig": {"subnetIds": ["a", "b"]},
}
_NODES = {
    "clusterName": "team",
    "nodegroupName": "nodes",
    "subnets": ["a"],
    "nodeRole": "arn:aws:iam::123456789012:role/nodes",
}
_NAMED = {"clusterName": "team", "nodegroupName": "nodes"}


@pytest.fixture
def eks() -> Eks:
    """An EKS with a cluster that is CREATING."""
    made = Eks(region="eu-west-1", account="123456789012", endpoint={"endpoint": "https://127.0.0.1:1"})
    made.ask("CreateCluster", _CLUSTER)
    return made


def _state(eks: Eks) -> str:
    return str(eks.ask("DescribeCluster", {"name": "team"})["cluster"]["status"])


def _refused(eks: Eks, operation: str, parameters: dict[str, Any]) -> str:
    with pytest.raises(Refusal) as caught:
        eks.ask(operation, parameters)
    return caught.value.code


def test_a_cluster_has_an_endpoint_when_it_is_active(eks: Eks) -> None:
    """Before that nobody can know it."""
    assert "endpoint" not in eks.ask("DescribeCluster", {"name": "team"})["cluster"]
    assert eks.ask("DescribeCluster", {"name": "team"})["cluster"]["endpoint"]


def test_what_is_out_of_order_is_refused(eks: Eks) -> None:
    """Nodes need an active cluster, and a cluster outlives its nodes."""
    assert _refused(eks, "CreateNodegroup", _NODES) == "InvalidRequestException"
    assert [_state(eks), _state(eks)] == ["CREATING", "ACTIVE"]
    eks.ask("CreateNodegroup", _NODES)
    assert _refused(eks, "DeleteCluster", {"name": "team"}) == "ResourceInUseException"
    eks.ask("DeleteNodegroup", _NAMED)
    assert eks.ask("DescribeNodegroup", _NAMED)["nodegroup"]["status"] == "DELETING"
    assert _refused(eks, "DescribeNodegroup", _NAMED) == "ResourceNotFoundException"
    eks.ask("DeleteCluster", {"name": "team"})
    assert _state(eks) == "DELETING"
    assert _refused(eks, "DescribeCluster", {"name": "team"}) == "ResourceNotFoundException"


@pytest.mark.parametrize(
    ("operation", "parameters", "code"),
    [
        ("CreateClusters", _CLUSTER, "UnknownOperationException"),
        ("ListClusters", {}, "NotImplemented"),
        ("CreateCluster", {**_CLUSTER, "name": "second", "size": 3}, "InvalidParameterException"),
        ("CreateCluster", _CLUSTER, "ResourceInUseException"),
        ("DescribeCluster", {"name": "second"}, "ResourceNotFoundException"),
        (
            "CreateAddon",
            {"clusterName": "team", "addonName": "coredns", "addonVersion": "v0"},
            "InvalidParameterException",
        ),
    ],
)
def test_what_is_not_known_is_refused(eks: Eks, operation: str, parameters: dict[str, Any], code: str) -> None:
    """An operation, a parameter, a second of the name, a name, a version."""
    _ = [_state(eks), _state(eks)]
    assert _refused(eks, operation, parameters) == code


def test_an_access_entry_is_there_and_gone_at_once(eks: Eks) -> None:
    """It has no states; a second of the same principal is refused."""
    _ = [_state(eks), _state(eks)]
    named = {"clusterName": "team", "principalArn": "arn:aws:iam::123456789012:role/administrator"}
    eks.ask("CreateAccessEntry", named)
    assert eks.ask("DescribeAccessEntry", named)["accessEntry"] == named
    assert _refused(eks, "CreateAccessEntry", named) == "ResourceInUseException"
    assert eks.ask("DeleteAccessEntry", named) == {}
    assert _refused(eks, "DescribeAccessEntry", named) == "ResourceNotFoundException"
