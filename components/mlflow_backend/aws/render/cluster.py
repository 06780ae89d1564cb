"""A created EKS cluster: its nodes, its add-ons, who administers it, and who reaches its API. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.render.policies import Document, document
from mlflow_backend.contract import Refused
from mlflow_backend.report.quantities import HOUR, Billing, Inputs, Quantity, number, one

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

CONTROL_PLANE_LOGS: Final = ("api", "audit", "authenticator", "controllerManager", "scheduler")
CLUSTER_POLICIES: Final = ("AmazonEKSClusterPolicy",)
NODE_POLICIES: Final = ("AmazonEKSWorkerNodePolicy", "AmazonEC2ContainerRegistryPullOnly", "AmazonEKS_CNI_Policy")
VOLUMES_POLICIES: Final = ("service-role/AmazonEBSCSIDriverPolicy",)
"""AWS's own policies of the roles of cluster, nodes and volumes (Amazon EKS user guide)."""
ADMINISTRATION: Final = "AmazonEKSClusterAdminPolicy"
PODS: Final = "pods.eks.amazonaws.com"
"""The service that gives pods their roles, of this name in every partition (Amazon EKS user guide)."""
VOLUMES_ACCOUNT: Final = "ebs-csi-controller-sa"
"""The service account of the driver's controller (Amazon EKS user guide, 'Amazon EBS')."""
ROOT_DEVICE: Final = "/dev/xvda"
"""The root volume of Amazon Linux 2023 (Amazon EC2 user guide, 'Device names')."""
SUBNET_TAGS: Final[Mapping[bool, Mapping[str, str]]] = {
    True: {"kubernetes.io/role/elb": "1"},
    False: {"kubernetes.io/role/internal-elb": "1"},
}
"""Whether a subnet is public -> the tags by which a load balancer's controller finds it (Amazon EKS user guide)."""

_AMI_TYPES: Final = {"amd64": "AL2023_x86_64_STANDARD", "arm64": "AL2023_ARM_64_STANDARD"}


@dataclass(frozen=True, kw_only=True)
class Addon:
    """An add-on of a cluster. `setting` is the key of its version below `eks.addons`.

    `on_nodes` is whether it is ready only if a node runs it; the others come first, so that no node ever runs without.
    """

    name: str
    setting: str
    on_nodes: bool = False
    configuration: str | None = None


ADDONS: Final = (
    # Without its option network policies are taken, and ignored.
    Addon(name="vpc-cni", setting="vpc_cni", configuration='{"enableNetworkPolicy":"true"}'),
    Addon(name="eks-pod-identity-agent", setting="pod_identity_agent"),
    Addon(name="kube-proxy", setting="kube_proxy"),
    Addon(name="coredns", setting="coredns", on_nodes=True),
    Addon(name="aws-ebs-csi-driver", setting="ebs_csi_driver", on_nodes=True),
)
NETWORK, VOLUMES = ADDONS[0], ADDONS[-1]


@dataclass(frozen=True, kw_only=True)
class ClusterPlan:
    """A created cluster. `public_cidrs` reach its API from outside; without any it has no public address."""

    version: str
    public_cidrs: tuple[str, ...]
    administrators: tuple[str, ...]
    ami_type: str
    instance_types: tuple[str, ...]
    minimum: int
    maximum: int
    storage_gib: int


def cluster_plan(settings: Settings) -> ClusterPlan:
    """Return the cluster to create."""
    wanted, nodes = settings.eks.cluster, settings.eks.nodes
    return ClusterPlan(
        version=str(wanted.version),
        public_cidrs=tuple(wanted.allowed_cidrs) if wanted.endpoint == "restricted" else (),
        administrators=tuple(wanted.administrators),
        ami_type=_AMI_TYPES[settings.kubernetes.architecture],
        instance_types=tuple(nodes.instance_types),
        minimum=nodes.minimum,
        maximum=nodes.maximum,
        storage_gib=nodes.storage,
    )


def pinned_versions(settings: Settings) -> dict[str, str]:
    """Return the versions of add-ons that the settings name, by the add-on."""
    found = {each.name: getattr(settings.eks.addons, each.setting) for each in ADDONS}
    return {name: version for name, version in found.items() if version is not None}


def default_version(addon: str, kubernetes: str, offered: Sequence[Mapping[str, Any]]) -> str:
    """Return the version of an add-on that EKS gives to a Kubernetes version by default.

    `offered` is what DescribeAddonVersions lists under `addons`. Raises Refused if there is none.
    """
    for each in offered:
        for version in each.get("addonVersions", []) if each.get("addonName") == addon else []:
            for fits in version.get("compatibilities", []):
                if fits.get("clusterVersion") == kubernetes and fits.get("defaultVersion"):
                    return str(version["addonVersion"])
    setting = next(each.setting for each in ADDONS if each.name == addon)
    raise Refused(
        f"EKS offers no default version of the add-on {addon} for Kubernetes {kubernetes}.",
        code="eks-addon-unresolved",
        fix="See that eks.cluster.version is one that EKS has (aws eks describe-cluster-versions), or name the version "
        f"by eks.addons.{_camel(setting)}.",
    )


def trust(service: str, *, pods: bool = False) -> Document:
    """Return who may take a role: a service, or pods through the agent of pod identities."""
    actions = ["sts:AssumeRole", "sts:TagSession"] if pods else ["sts:AssumeRole"]
    return document({"Sid": "Assume", "Effect": "Allow", "Principal": {"Service": service}, "Action": actions})


def pods_trust(*, cluster_arn: str, namespace: str) -> Document:
    """Return the trust of roles for the pods of one namespace, by the tags that EKS gives their sessions."""
    pods = trust(PODS, pods=True)
    (statement,) = pods["Statement"]
    statement["Condition"] = {
        "StringEquals": {
            "aws:RequestTag/eks-cluster-arn": cluster_arn,
            "aws:RequestTag/kubernetes-namespace": namespace,
        }
    }
    return pods


def nodes_service(naming: Naming) -> str:
    """Return the service that runs nodes."""
    return f"ec2.{naming.domain}"


def policy_arn(naming: Naming, name: str) -> str:
    """Return the ARN of one of AWS's own policies."""
    return f"arn:{naming.partition}:iam::aws:policy/{name}"


def access_policy_arn(naming: Naming, name: str) -> str:
    """Return the ARN of one of EKS's own access policies."""
    return f"arn:{naming.partition}:eks::aws:cluster-access-policy/{name}"


def logs_group(cluster: str) -> str:
    """Return the log group of a control plane, which is the service's choice."""
    return f"/aws/eks/{cluster}/cluster"


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _nodes(inputs: Inputs) -> Iterator[Quantity]:
    scaling = inputs.get("scalingConfig")
    least = number(scaling.get("minSize")) if isinstance(scaling, dict) else None
    kinds = inputs.get("instanceTypes")
    name = str(kinds[0]) if isinstance(kinds, list) and kinds else "of unknown type"
    yield Quantity(f"ec2-instance:{name}", f"EC2 instance {name}, with its volume", "instance", HOUR, least)


BILLING: Final[Mapping[str, Billing]] = {
    "aws:eks/cluster:Cluster": Billing(
        counted=one("eks-cluster", "EKS control plane", "cluster", HOUR), by_use=("logs of the control plane",)
    ),
    "aws:eks/nodeGroup:NodeGroup": Billing(counted=_nodes, by_use=("volumes in the cluster",)),
}
