"""The emulated EKS: states that follow each other, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.render import cluster as render
from tests.rig.aws.eks import api
from tests.rig.aws.eks.model import Eks, Refusal
from tests.rig.aws.server import ACCOUNT, REGION
from tests.rig.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.aws.rig import AwsRig

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
_VERSION = "v1.0.0-eksbuild.1"
_NAMED = {"clusterName": "team", "nodegroupName": "nodes"}


def _offer(addon: str) -> dict[str, Any]:
    fits = [{"clusterVersion": "1.34", "defaultVersion": True}]
    return {"addonName": addon, "addonVersions": [{"addonVersion": _VERSION, "compatibilities": fits}]}


@pytest.fixture
def eks() -> Eks:
    """An EKS with a cluster that is CREATING."""
    made = Eks(
        region="eu-west-1",
        account="123456789012",
        endpoint={"endpoint": "https://127.0.0.1:1"},
        offered=[_offer("vpc-cni"), _offer("kube-proxy"), _offer("coredns")],
        trusts=lambda role, service: {"cluster": "eks", "nodes": "ec2"}[role.rpartition("/")[2]] in service,
    )
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


def _add(eks: Eks, *addons: str) -> None:
    for each in addons:
        eks.ask("CreateAddon", {"clusterName": "team", "addonName": each, "addonVersion": _VERSION})


def _states(eks: Eks, kind: str, named: dict[str, str]) -> list[str]:
    """Return the states that two looks at a part of a cluster see."""
    looks = [eks.ask(f"Describe{kind}", named) for _ in range(2)]
    return [each[kind.lower()]["status"] for each in looks]


def test_what_is_out_of_order_is_refused(eks: Eks) -> None:
    """Nodes need an active cluster, and a cluster outlives its nodes."""
    assert _refused(eks, "CreateNodegroup", _NODES) == "InvalidRequestException"
    assert [_state(eks), _state(eks)] == ["CREATING", "ACTIVE"]
    _add(eks, "vpc-cni", "kube-proxy")
    eks.ask("CreateNodegroup", _NODES)
    assert _states(eks, "Nodegroup", _NAMED) == ["CREATING", "ACTIVE"]
    assert _refused(eks, "DeleteCluster", {"name": "team"}) == "ResourceInUseException"
    eks.ask("DeleteNodegroup", _NAMED)
    assert eks.ask("DescribeNodegroup", _NAMED)["nodegroup"]["status"] == "DELETING"
    assert _refused(eks, "DescribeNodegroup", _NAMED) == "ResourceNotFoundException"
    eks.ask("DeleteCluster", {"name": "team"})
    assert _state(eks) == "DELETING"
    assert _refused(eks, "DescribeCluster", {"name": "team"}) == "ResourceNotFoundException"


def test_nodes_need_their_network_and_what_they_run_needs_nodes(eks: Eks) -> None:
    """Without the add-ons that go before them nodes fail, and an add-on that runs on nodes stays DEGRADED."""
    _ = [_state(eks), _state(eks)]
    eks.ask("CreateNodegroup", _NODES)
    assert _states(eks, "Nodegroup", _NAMED) == ["CREATING", "CREATE_FAILED"]
    eks.ask("DeleteNodegroup", _NAMED)
    _ = eks.ask("DescribeNodegroup", _NAMED), _refused(eks, "DescribeNodegroup", _NAMED)
    _add(eks, "coredns")
    assert _states(eks, "Addon", {"clusterName": "team", "addonName": "coredns"}) == ["CREATING", "DEGRADED"]


def test_one_update_at_a_time_changes_what_it_names_and_nothing_else(eks: Eks) -> None:
    """Parts of a structure that are not named stay; while something is UPDATING the next update is refused."""
    private = {"name": "team", "resourcesVpcConfig": {"endpointPrivateAccess": True}}
    assert _refused(eks, "UpdateClusterConfig", private) == "ResourceInUseException"
    _ = [_state(eks), _state(eks)]
    eks.ask("UpdateClusterConfig", private)
    assert _refused(eks, "UpdateClusterVersion", {"name": "team", "version": "1.35"}) == "ResourceInUseException"
    assert [_state(eks), _state(eks)] == ["UPDATING", "ACTIVE"]
    found = eks.ask("DescribeCluster", {"name": "team"})["cluster"]["resourcesVpcConfig"]
    assert found == {"subnetIds": ["a", "b"], "endpointPrivateAccess": True}


def test_an_account_of_a_namespace_has_one_identity(eks: Eks) -> None:
    """It is found by both, changed by its id, and a second one is refused."""
    _ = [_state(eks), _state(eks)]
    asked = {"clusterName": "team", "namespace": "mlflow", "serviceAccount": "server"}
    role = "arn:aws:iam::123456789012:role/"
    made = eks.ask("CreatePodIdentityAssociation", {**asked, "roleArn": f"{role}first"})["association"]
    assert _refused(eks, "CreatePodIdentityAssociation", {**asked, "roleArn": role}) == "ResourceInUseException"
    named = {"clusterName": "team", "associationId": made["associationId"]}
    eks.ask("UpdatePodIdentityAssociation", {**named, "roleArn": f"{role}second"})
    (found,) = eks.ask("ListPodIdentityAssociations", asked)["associations"]
    assert found == {**made, "roleArn": f"{role}second"}
    eks.ask("DeletePodIdentityAssociation", named)
    assert eks.ask("ListPodIdentityAssociations", asked)["associations"] == []


def test_tags_are_of_what_there_is(eks: Eks) -> None:
    """They are given and taken back by the ARN."""
    arn = eks.ask("DescribeCluster", {"name": "team"})["cluster"]["arn"]
    eks.ask("TagResource", {"resourceArn": arn, "tags": {"a": "1", "b": "2"}})
    eks.ask("UntagResource", {"resourceArn": arn, "tagKeys": ["a"]})
    assert eks.ask("ListTagsForResource", {"resourceArn": arn})["tags"] == {"b": "2"}
    assert _refused(eks, "TagResource", {"resourceArn": f"{arn}s", "tags": {}}) == "NotFoundException"


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
        (
            "CreateCluster",
            {**_CLUSTER, "name": "second", "roleArn": "arn:aws:iam::123456789012:role/nodes"},
            "InvalidParameterException",
        ),
        (
            "CreateCluster",
            {**_CLUSTER, "name": "second", "resourcesVpcConfig": {"subnetIds": ["a"]}},
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
    assert eks.ask("DescribeAccessEntry", named)["accessEntry"].items() >= named.items()
    policy = {"policyArn": "arn:aws:eks::aws:cluster-access-policy/Any", "accessScope": {"type": "cluster"}}
    eks.ask("AssociateAccessPolicy", {**named, **policy})
    assert eks.ask("ListAssociatedAccessPolicies", named)["associatedAccessPolicies"] == [policy]
    eks.ask("DisassociateAccessPolicy", {**named, "policyArn": policy["policyArn"]})
    assert eks.ask("ListAssociatedAccessPolicies", named)["associatedAccessPolicies"] == []
    assert _refused(eks, "CreateAccessEntry", named) == "ResourceInUseException"
    assert eks.ask("DeleteAccessEntry", named) == {}
    assert _refused(eks, "DescribeAccessEntry", named) == "ResourceNotFoundException"


@pytest.fixture(scope="module")
def answering(rig: AwsRig) -> Iterator[Any]:
    """A client of an EKS that answers by HTTP."""
    with Patches() as patches:
        api.install(patches, endpoint={"endpoint": "https://127.0.0.1:1"}, offered=[api.offer("coredns", "1.34", "v1")])
        yield rig.client("eks")


def test_a_cluster_stands_in_a_network_with_a_group_and_a_role_of_its_own(rig: AwsRig, answering: Any) -> None:
    """By HTTP: the group is there while the cluster is, and a role that trusts others is refused."""
    ec2, iam = rig.client("ec2"), rig.client("iam")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{each}.0/24")["Subnet"]["SubnetId"] for each in range(2)]
    arns = {
        service: iam.create_role(RoleName=service, AssumeRolePolicyDocument=json.dumps(render.trust(service)))
        for service in ("eks.amazonaws.com", "ec2.amazonaws.com")
    }
    role, other = (each["Role"]["Arn"] for each in arns.values())
    asked = {"name": "team", "resourcesVpcConfig": {"subnetIds": subnets}, "version": "1.34"}
    with pytest.raises(answering.exceptions.InvalidParameterException):
        answering.create_cluster(**asked, roleArn=other)
    answering.create_cluster(**asked, roleArn=role)
    _ = answering.describe_cluster(name="team")
    network = answering.describe_cluster(name="team")["cluster"]["resourcesVpcConfig"]
    assert network["vpcId"] == vpc
    (group,) = ec2.describe_security_groups(GroupIds=[network["clusterSecurityGroupId"]])["SecurityGroups"]
    assert group["VpcId"] == vpc
    # An ARN is part of the path.
    answering.create_access_entry(clusterName="team", principalArn=role)
    policy = render.access_policy_arn(Naming(project="p", stack="s", account=ACCOUNT, region=REGION), "Any")
    answering.associate_access_policy(
        clusterName="team", principalArn=role, policyArn=policy, accessScope={"type": "cluster"}
    )
    answering.disassociate_access_policy(clusterName="team", principalArn=role, policyArn=policy)
    answering.delete_cluster(name="team")
    _ = answering.describe_cluster(name="team")
    with pytest.raises(answering.exceptions.ResourceNotFoundException):
        answering.describe_cluster(name="team")
    with pytest.raises(ec2.exceptions.ClientError):
        ec2.describe_security_groups(GroupIds=[group["GroupId"]])


def test_versions_are_those_of_a_kubernetes(answering: Any) -> None:
    """None is offered to a version that has none."""
    assert answering.describe_addon_versions(addonName="coredns", kubernetesVersion="1.34")["addons"]
    assert answering.describe_addon_versions(addonName="coredns", kubernetesVersion="1.99")["addons"] == []
