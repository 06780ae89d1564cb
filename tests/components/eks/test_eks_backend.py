"""The backend as it is registered: its URNs guarded, in every variant and in preview, and what leads where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
import pytest
from pulumi.runtime.mocks import MockCallArgs, MockResourceArgs, Mocks

from mlflow_backend.aws import plugin
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render.cluster import ADDONS
from mlflow_backend.eks import addons, backend
from mlflow_backend.eks.backend import EksBackend, EksBackendArgs
from tests.components.ecs.recording import known_inputs
from tests.components.eks.stacks import ACCOUNT, REGION, STACK, VARIANTS, settings_of
from tests.components.registrations import assert_as_recorded, of_type, registered_by, snapshot, walk

if TYPE_CHECKING:
    from tests.components.registrations import Registered

SNAPSHOTS = Path(__file__).parent / "snapshots"
AUTHORITY = "YXV0aG9yaXR5"
TOKEN = "t0ken0of0sixteen"
CLUSTER = {"endpoint": "https://ABC.eks.example.com", "vpcConfig": {"clusterSecurityGroupId": "sg-0cluster"}}


class Drawn(Mocks):
    """Answers as AWS and the cluster would."""

    def __init__(self, *, preview: bool) -> None:
        """In a preview nothing is there yet."""
        self.preview = preview

    def call(self, args: MockCallArgs) -> Any:
        """Answer the questions that the backend asks, and no other."""
        if args.token == "aws:eks/getCluster:getCluster":
            return {**CLUSTER, "certificateAuthorities": [{"data": AUTHORITY}], "name": args.args["name"]}
        assert args.token == "aws:index/getAvailabilityZones:getAvailabilityZones", args.token
        return {"names": [f"{REGION}{letter}" for letter in "abc"], "id": REGION, "zoneIds": []}

    def new_resource(self, args: MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        """Answer with the inputs and what is added to them."""
        kind = args.typ.rsplit(":", 1)[-1]
        arn = f"arn:aws:{kind.lower()}:{REGION}:{ACCOUNT}:{args.name}-AbCdEf"
        drawn: dict[str, dict[str, Any]] = {
            "Cluster": {**CLUSTER, "certificateAuthority": {"data": AUTHORITY}},
            "LaunchTemplate": {"latestVersion": 3},
            "Instance": {
                "address": "db.internal",
                "resourceId": "db-ABC",
                "masterUserSecrets": [{"secretArn": f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-AbCdEf"}],
            },
            "ReplicationGroup": {"primaryEndpointAddress": "cache.internal"},
            "SecretVersion": {"versionId": "v-cache"},
            "AwsCacheToken": {"value": TOKEN},
            "VpcEndpoint": {"prefixListId": "pl-1"},
            "Key": {"keyId": "key-1"},
            "EksLogin": {"version": "v1"},
            "KubernetesServerSecrets": {"version": "v1", "certificate": "c1", "cache": "p1", "keys": "k1"},
            "KubernetesRollout": {"revision": "6f7c9d5b4"},
            "Migration": {"head": "abc"},
            "Reencryption": {"lost": []},
            "Verification": {"verdict": "pass", "finished": "now", "summary": "", "table": ""},
        }
        if self.preview:
            return None, {}
        return f"{args.name}-id", {**args.inputs, "arn": arn, **drawn.get(kind, {})}


def record(variant: str, *, preview: bool = False, connection: Connection | None = None) -> list[Registered]:
    """Register a variant's backend and return everything that was registered."""
    settings = settings_of(variant)

    def build() -> pulumi.Output[Any]:
        built = EksBackend("mlflow", EksBackendArgs(settings=settings, connection=connection))
        exported = built.outputs().exports()
        return pulumi.Output.all(**{name: pulumi.Output.from_input(value) for name, value in exported.items()})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugin, "require", lambda: None)
        patch.setattr(backend, "_looked_at", lambda *_: ((), None, None))
        patch.setattr(addons, "versions", lambda *_: {each.name: "v1.0.0-eksbuild.1" for each in ADDONS})
        return registered_by(build, Drawn(preview=preview), stack=STACK, preview=preview)


@pytest.mark.parametrize("variant", VARIANTS)
def test_urns_do_not_change_unnoticed(variant: str) -> None:
    """A moved or renamed resource is made anew, a database too. UPDATE_SNAPSHOTS=1 records what is meant."""
    registered = record(variant)
    assert_as_recorded(snapshot(registered), SNAPSHOTS / f"{variant}.txt")
    assert len({each.urn for each in registered}) == len(registered)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_preview_knows_as_many_resources(variant: str) -> None:
    """Before anything exists, nothing is missing from the plan and nothing fails on an unknown."""
    assert {each.urn for each in record(variant, preview=True)} == {each.urn for each in record(variant)}


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
    """And a restricted one has the blocks that are named."""
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
