"""Settings of Amazon EKS's own: the cluster, its nodes and add-ons, and where the stores are.

The sections `aws` and `kubernetes` say the rest. What the target eks cannot do with a combination is refused by the
target itself (mlflow_backend/eks/refusals.py).
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from mlflow_backend.settings.aws import Arn, caller_block
from mlflow_backend.settings.section import Section

# Amazon EKS API reference, CreateCluster, `name`.
ClusterName = Annotated[str, Field(pattern=r"^[0-9A-Za-z][A-Za-z0-9_-]{0,99}$")]
AddonVersion = Annotated[str, Field(pattern=r"^v\d+\.\d+\.\d+-eksbuild\.\d+$")]
Block = Annotated[str, AfterValidator(caller_block)]


class EksCluster(Section):
    """The cluster: an adopted one, or a created one."""

    existing: ClusterName | None = None
    """Name of an adopted cluster; left out, one is created."""
    version: Annotated[str, Field(pattern=r"^\d+\.\d+$")] | None = None
    """Kubernetes version of a created cluster, in quotes. It moves by this setting only."""
    endpoint: Literal["restricted", "private"] = "restricted"
    """Who reaches the API of a created cluster: the blocks below and its own network, or its own network alone."""
    allowed_cidrs: list[Block] = Field(default_factory=list)
    """IPv4 blocks that reach a restricted endpoint: those of whoever deploys."""
    administrators: list[Arn] = Field(default_factory=list)
    """IAM users and roles that administer a created cluster, besides whoever created it."""


class EksNodes(Section):
    """The managed node group of a created cluster."""

    instance_types: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z0-9-]+\.[a-z0-9-]+$")]], Field(min_length=1, max_length=20)
    ] = Field(default_factory=lambda: ["m6i.large"])
    """Instance types, of the architecture in `kubernetes.architecture`."""
    minimum: Annotated[int, Field(ge=1, le=100)] = 2
    """The fewest nodes."""
    maximum: Annotated[int, Field(ge=1, le=100)] = 4
    """The most nodes that somebody's autoscaler may ask for."""
    storage: Annotated[int, Field(ge=20, le=16384)] = 80
    """Encrypted storage of each node in GiB: images, logs, and what servers keep of temporary files."""


class EksAddons(Section):
    """Versions of the add-ons of a created cluster; each left out is the default one of its Kubernetes version."""

    vpc_cni: AddonVersion | None = None
    """The network plugin, which enforces the network policies."""
    pod_identity_agent: AddonVersion | None = None
    """What gives pods the credentials of their roles."""
    kube_proxy: AddonVersion | None = None
    """What leads to Services."""
    coredns: AddonVersion | None = None
    """Names of Services."""
    ebs_csi_driver: AddonVersion | None = None
    """Volumes."""


class Eks(Section):
    """Everything that only Amazon EKS asks for."""

    database: Literal["rds", "cluster"] = "rds"
    """Where a created database is: an instance of RDS, or in the cluster, by `kubernetes.database`."""
    cache: Literal["elasticache", "cluster"] = "elasticache"
    """Where a created cache is: ElastiCache, or in the cluster, by `kubernetes.cache`."""
    cluster: EksCluster = Field(default_factory=EksCluster)
    nodes: EksNodes = Field(default_factory=EksNodes)
    addons: EksAddons = Field(default_factory=EksAddons)
