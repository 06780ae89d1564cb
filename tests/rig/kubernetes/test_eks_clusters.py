"""Clusters of EKS that a backend does not own any more, or never did, with real MLflow: adopted, and gone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.aws.render import cluster as render
from mlflow_backend.aws.render.cluster import ADDONS
from tests.rig.kubernetes.eks_backend import KUBERNETES, EksRig, EksStack, cluster_name
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(900)]

_TEAMS: Final = "team"


@pytest.fixture
def adopted(cluster: Cluster, tmp_path: Path) -> Iterator[EksStack]:
    """The stack on a cluster that a team has, in a VPC of theirs; not yet deployed."""
    with cluster.namespace("eks") as namespace, EksRig(tmp_path / "aws", cluster, _TEAMS, namespace) as rig:
        network = make_cluster(rig)
        yield EksStack(
            tmp_path / "stack",
            rig,
            eks={"cluster": {"existing": _TEAMS, "version": None, "allowedCidrs": None}},
            network={"mode": "adopt", "existing": network["vpcId"]},
            aws={"network": {"privateSubnets": network["subnetIds"]}},
            kubernetes={"namespace": namespace},
        )


def make_cluster(rig: EksRig) -> dict[str, Any]:
    """Make a cluster as a team has one, and return its network."""
    ec2, iam, eks = (rig.aws.client(each) for each in ("ec2", "iam", "eks"))
    vpc = ec2.create_vpc(CidrBlock="10.80.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.80.{number}.0/24", AvailabilityZone=f"{rig.aws.region}{zone}")
        for number, zone in enumerate("ab")
    ]
    network = {"subnetIds": [each["Subnet"]["SubnetId"] for each in subnets]}
    trust = json.dumps(render.trust("eks.amazonaws.com"))
    role = iam.create_role(RoleName=_TEAMS, AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    eks.create_cluster(name=_TEAMS, roleArn=role, version=KUBERNETES, resourcesVpcConfig=network)
    eks.get_waiter("cluster_active").wait(name=_TEAMS, WaiterConfig={"Delay": 1})
    for each in ADDONS:
        if not each.on_nodes:
            given = {"configurationValues": each.configuration} if each.configuration else {}
            eks.create_addon(clusterName=_TEAMS, addonName=each.name, **given)
    return dict(eks.describe_cluster(name=_TEAMS)["cluster"]["resourcesVpcConfig"])


def test_a_backend_on_a_cluster_of_somebody_elses_leaves_it_as_it_was(adopted: EksStack) -> None:
    """It is verified there; while the cluster does not answer nothing of it is taken for gone, and then it all goes."""
    rig = adopted.rig
    adopted.must_up()
    outputs = adopted.outputs()
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    kinds = {resource["type"] for resource in adopted.state_of_resources()}
    assert kinds.isdisjoint({"aws:eks/cluster:Cluster", "aws:eks/addon:Addon", "aws:ec2/vpc:Vpc"})
    asked = {"clusterName": _TEAMS}
    assert rig.aws.client("eks").list_pod_identity_associations(**asked)["associations"]
    rig.stop_cluster()
    held = adopted.destroy()
    assert not held.ok, held.text
    rig.start_cluster()
    gone = adopted.destroy()
    assert gone.ok, gone.text
    assert rig.clusters == [_TEAMS]
    assert rig.aws.client("eks").list_pod_identity_associations(**asked)["associations"] == []
    until(lambda: not adopted.found("pods"), what="the end of the pods", deadline_s=240)
    assert adopted.found("deployments,services,networkpolicies,hpa") == set()


def test_a_stack_ends_after_its_cluster_was_deleted(cluster: Cluster, tmp_path: Path) -> None:
    """Somebody deleted the cluster of the stack by hand: what was in it went with it, and the rest goes by destroy."""
    with EksRig(tmp_path / "aws", cluster, cluster_name(), "mlflow") as rig:
        stack = EksStack(tmp_path / "stack", rig)
        stack.must_up()
        eks = rig.aws.client("eks")
        (nodes,) = {
            resource["outputs"]["nodeGroupName"]
            for resource in stack.state_of_resources()
            if resource["type"] == "aws:eks/nodeGroup:NodeGroup"
        }
        eks.delete_nodegroup(clusterName=rig.name, nodegroupName=nodes)
        waiting = {"Delay": 1}
        eks.get_waiter("nodegroup_deleted").wait(clusterName=rig.name, nodegroupName=nodes, WaiterConfig=waiting)
        eks.delete_cluster(name=rig.name)
        eks.get_waiter("cluster_deleted").wait(name=rig.name, WaiterConfig=waiting)
        rig.stop_cluster()
        gone = stack.destroy()
        assert gone.ok, gone.text
        assert not rig.aws.databases.running
        assert rig.aws.client("s3").list_buckets()["Buckets"] == []
