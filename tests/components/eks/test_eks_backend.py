"""The backend as it is registered: its URNs guarded, in every variant and in preview, and what leads where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlflow_backend.aws.connection import Connection
from tests.components.ecs.recording import known_inputs
from tests.components.eks.recording import CLUSTER, TOKEN, record
from tests.components.eks.stacks import ACCOUNT, REGION, STACK, VARIANTS
from tests.components.registrations import assert_distinct, assert_urns_kept, of_type, walk

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.mark.parametrize("variant", VARIANTS)
def test_urns_do_not_change_unnoticed(variant: str) -> None:
    """A moved or renamed resource is made anew, a database too. UPDATE_SNAPSHOTS=1 records what is meant."""
    assert_urns_kept(record, variant, SNAPSHOTS / f"{variant}.txt")


def test_no_two_snapshots_are_the_same() -> None:
    """Each variant registers something else."""
    assert_distinct(SNAPSHOTS, len(VARIANTS))


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_is_made_by_the_two_providers_of_this_backend(variant: str) -> None:
    """The default ones would use whatever account is logged in and whatever context is current."""
    registered = record(variant)
    (own,) = [each for each in registered if each.type == "pulumi:providers:aws"]
    (cluster,) = [each for each in registered if each.type == "pulumi:providers:kubernetes"]
    looked_at = 0
    for each in registered:
        if each.type.startswith("aws:"):
            known = known_inputs(each.type)
            assert known is not None
            assert set(each.inputs) <= known, each.urn
            assert own.urn in each.provider, each.urn
            looked_at += 1
        if each.type.startswith("kubernetes:"):
            assert each.provider.startswith(cluster.urn), each.urn
            looked_at += 1
    assert looked_at > 20


def test_the_provider_of_the_cluster_renews_its_tokens_and_follows_the_clusters_identity() -> None:
    """An update that makes a cluster and a database takes longer than one token lasts."""
    (made,) = [each for each in record(STACK) if each.type == "pulumi:providers:kubernetes"]
    (kept,) = [each for each in record("adopted") if each.type == "pulumi:providers:kubernetes"]
    found = json.loads(made.inputs["kubeconfig"])
    assert found["clusters"][0]["cluster"]["server"] == CLUSTER["endpoint"]
    assert "exec" in found["users"][0]["user"]
    assert made.inputs["clusterIdentifier"] == f"arn:aws:eks:{REGION}:{ACCOUNT}:cluster/mlflow-backend-eks-mlflow"
    assert kept.inputs["clusterIdentifier"].endswith("cluster/team")
    # What is in somebody else's cluster does not go with this stack.
    assert made.inputs["deleteUnreachable"] == "true"
    assert kept.inputs["deleteUnreachable"] == "false"


def test_a_role_reaches_everything_that_asks() -> None:
    """Provider, credential plugin and live side are one account."""
    role = f"arn:aws:iam::{ACCOUNT}:role/deploy"
    registered = {each.name: each for each in record(STACK, connection=Connection(REGION, role=role))}
    assert json.loads(registered["mlflow-aws"].inputs["assumeRoles"])[0]["role_arn"] == role
    assert registered["mlflow-rollout"].inputs["locator"]["role"] == role
    user = json.loads(registered["mlflow-kubernetes"].inputs["kubeconfig"])["users"][0]["user"]
    assert role in user["exec"]["args"]


def test_pods_come_after_what_they_need() -> None:
    """Nodes run the network plugin from their first second; pods find their roles and their logins."""
    registered = {each.name: each for each in record(STACK)}
    nodes = registered["mlflow-cluster-nodes"]
    for first in ("vpc-cni", "eks-pod-identity-agent", "kube-proxy", "nodes-AmazonEKSWorkerNodePolicy"):
        assert registered[f"mlflow-cluster-{first}"].urn in nodes.needs, first
    for last in ("coredns", "aws-ebs-csi-driver"):
        assert nodes.urn in registered[f"mlflow-cluster-{last}"].needs, last
    for each in ("mlflow-server", "mlflow-migration", "mlflow-secrets"):
        for need in ("namespace", "server-identity", "tasks-identity", "verify-identity", "database-login"):
            assert registered[f"mlflow-{need}"].urn in registered[each].needs, (each, need)


def test_stores_are_reached_by_the_clusters_pods_alone() -> None:
    """One rule each, from the group of the cluster."""
    for variant, database, port in (("eks", "mlflow-database-id", 5432), ("adopted", "sg-0db", 6432)):
        rules = of_type(record(variant), "SecurityGroupIngressRule")
        assert {each.inputs["referencedSecurityGroupId"] for each in rules} == {"sg-0cluster"}
        (rule,) = [each for each in rules if each.name == "mlflow-database-from-cluster"]
        assert (rule.inputs["securityGroupId"], rule.inputs["toPort"]) == (database, port)
        assert not any("cidrIpv4" in each.inputs for each in rules)


@pytest.mark.parametrize(
    ("variant", "watched"),
    [
        ("eks", {"database-connections", "database-storage", "cache-memory"}),
        ("adopted", set()),
        ("within", set()),
    ],
)
def test_stores_that_aws_runs_for_the_stack_are_watched(variant: str, watched: set[str]) -> None:
    """By the alarms of ecs, which tell the topic; what is somebody else's or in the cluster is not CloudWatch's."""
    registered = record(variant)
    alarms = {each.name.removeprefix("mlflow-monitoring-"): each for each in of_type(registered, "MetricAlarm")}
    assert alarms.keys() == watched
    assert len(of_type(registered, "Topic")) == len(of_type(registered, "Dashboard")) == bool(watched)
    assert not of_type(registered, "LogMetricFilter")
    for each in alarms.values():
        assert each.inputs["alarmActions"], each.name
    if watched:
        (instance,) = of_type(registered, "Instance")
        identifier = alarms["database-storage"].inputs["dimensions"]["DBInstanceIdentifier"]
        assert identifier == instance.inputs["identifier"]


def test_nothing_that_a_cluster_of_ours_does_not_need_is_made_in_an_adopted_one() -> None:
    """Its nodes, add-ons, namespace and network are its owner's."""
    kinds = {each.type for each in record("adopted")}
    assert "aws:eks/podIdentityAssociation:PodIdentityAssociation" in kinds
    assert kinds.isdisjoint({
        "aws:eks/cluster:Cluster", "aws:eks/nodeGroup:NodeGroup", "aws:eks/addon:Addon", "aws:ec2/vpc:Vpc",
        "aws:rds/instance:Instance", "aws:elasticache/replicationGroup:ReplicationGroup", "aws:s3/bucket:Bucket",
        "kubernetes:core/v1:Namespace", "kubernetes:storage.k8s.io/v1:StorageClass",
    })  # fmt: skip


def test_a_private_endpoint_has_no_public_address() -> None:
    """A public one that is restricted has the blocks that are named."""
    for variant, public, blocks in (("eks", True, ["203.0.113.0/24"]), ("private", False, None)):
        (cluster,) = [each for each in record(variant) if each.type == "aws:eks/cluster:Cluster"]
        found = cluster.inputs["vpcConfig"]
        assert found["endpointPublicAccess"] is public
        assert found.get("publicAccessCidrs") == blocks
        assert found["endpointPrivateAccess"] is True
        assert cluster.inputs["encryptionConfig"]["resources"] == ["secrets"]
        assert len(cluster.inputs["enabledClusterLogTypes"]) == 5


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_secret_is_registered(variant: str) -> None:
    """The cache's token goes to the cache and into its secret; the cluster's Secrets are written by nobody's state."""
    holders = {
        each.type.rsplit(":", 1)[-1] for each in record(variant) for _, leaf in walk(each.inputs) if TOKEN in str(leaf)
    }
    assert holders <= {"ReplicationGroup", "SecretVersion"}
