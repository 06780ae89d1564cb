"""An EKS cluster as one component, or an adopted one. Owns the wiring; `render.cluster` decides.

A created cluster has one managed node group, and EKS's own add-ons at versions that its caller names. Its Secrets are
encrypted with the backend's key, and its control plane writes logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.render import cluster as render
from mlflow_backend.aws.render.policies import text
from mlflow_backend.tokens import AWS_CLUSTER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.aws.render.cluster import Addon, ClusterPlan
    from mlflow_backend.aws.scope import Scope

_EKS: Final = "eks.amazonaws.com"


class Cluster(pulumi.ComponentResource):
    """Where pods run.

    Attributes: `endpoint` and `authority`, the latter in base64; `security_group`, that of nodes, pods and control
    plane; and `ready`, after which pods run and have their identities. Of a created cluster `cluster` and `nodes`, None
    for an adopted one.
    """

    endpoint: pulumi.Output[str]
    authority: pulumi.Output[str]
    security_group: pulumi.Output[str]

    def __init__(  # noqa: PLR0913 - what a cluster is made from, by name
        self,
        name: str,
        scope: Scope,
        *,
        cluster_name: str,
        subnets: Sequence[pulumi.Input[str]],
        key_arn: pulumi.Input[str],
        versions: Mapping[str, str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take its name, private subnets, the key of its Secrets, and versions of add-ons; none adopts the cluster."""
        super().__init__(AWS_CLUSTER, name, None, opts)
        self._name, self._scope, self._naming = name, scope, scope.naming
        self._child = pulumi.ResourceOptions(parent=self)
        self.cluster: aws.eks.Cluster | None = None
        self.nodes: aws.eks.NodeGroup | None = None
        self.ready: list[pulumi.Resource] = []
        if versions:
            self._create(render.cluster_plan(scope.settings), cluster_name, subnets, key_arn, versions)
        else:
            self._adopt(cluster_name)
        self.register_outputs({"endpoint": self.endpoint, "securityGroup": self.security_group})

    def _adopt(self, cluster_name: str) -> None:
        found = aws.eks.get_cluster_output(name=cluster_name, opts=pulumi.InvokeOutputOptions(parent=self))
        self.endpoint = found.endpoint
        self.authority = found.certificate_authorities.apply(lambda each: str(each[0].data))
        self.security_group = found.vpc_config.apply(lambda each: str(each.cluster_security_group_id))

    def _create(
        self,
        plan: ClusterPlan,
        cluster_name: str,
        subnets: Sequence[pulumi.Input[str]],
        key_arn: pulumi.Input[str],
        versions: Mapping[str, str],
    ) -> None:
        cluster = self._make_control_plane(plan, cluster_name, subnets, key_arn)
        self.cluster, self.endpoint = cluster, cluster.endpoint
        self.authority = cluster.certificate_authority.apply(lambda found: str(found.data))
        self.security_group = cluster.vpc_config.apply(lambda found: str(found.cluster_security_group_id))
        self._admit(plan, cluster)
        first = [self._addon(cluster, each, versions) for each in render.ADDONS if not each.on_nodes]
        self.nodes = self._make_nodes(plan, cluster, subnets, first)
        last = [self._addon(cluster, each, versions, self.nodes) for each in render.ADDONS if each.on_nodes]
        self.ready = [self.nodes, *first, *last]

    def _make_control_plane(
        self, plan: ClusterPlan, cluster_name: str, subnets: Sequence[pulumi.Input[str]], key_arn: pulumi.Input[str]
    ) -> aws.eks.Cluster:
        role, attached = self._role("cluster", render.trust(_EKS), render.CLUSTER_POLICIES)
        # EKS would make it without a limit, and leave it behind.
        logs = aws.cloudwatch.LogGroup(
            f"{self._name}-logs",
            name=render.logs_group(cluster_name),
            retention_in_days=self._scope.settings.aws.monitoring.log_retention_days,
            opts=self._child,
        )
        return aws.eks.Cluster(
            f"{self._name}-cluster",
            name=cluster_name,
            version=plan.version,
            role_arn=role.arn,
            access_config={"authentication_mode": "API", "bootstrap_cluster_creator_admin_permissions": True},
            bootstrap_self_managed_addons=False,
            enabled_cluster_log_types=list(render.CONTROL_PLANE_LOGS),
            encryption_config={"provider": {"key_arn": key_arn}, "resources": ["secrets"]},
            vpc_config={
                "subnet_ids": list(subnets),
                "endpoint_private_access": True,
                "endpoint_public_access": bool(plan.public_cidrs),
                "public_access_cidrs": list(plan.public_cidrs) or None,
            },
            opts=pulumi.ResourceOptions(parent=self, depends_on=[*attached, logs]),
        )

    def _admit(self, plan: ClusterPlan, cluster: aws.eks.Cluster) -> None:
        for number, principal in enumerate(plan.administrators):
            entry = aws.eks.AccessEntry(
                f"{self._name}-administrator-{number}",
                cluster_name=cluster.name,
                principal_arn=principal,
                opts=self._child,
            )
            aws.eks.AccessPolicyAssociation(
                f"{self._name}-administrator-{number}",
                cluster_name=cluster.name,
                principal_arn=entry.principal_arn,
                policy_arn=render.access_policy_arn(self._naming, render.ADMINISTRATION),
                access_scope={"type": "cluster"},
                opts=self._child,
            )

    def _make_nodes(
        self,
        plan: ClusterPlan,
        cluster: aws.eks.Cluster,
        subnets: Sequence[pulumi.Input[str]],
        needs: Sequence[pulumi.Resource],
    ) -> aws.eks.NodeGroup:
        role, attached = self._role("nodes", render.trust(render.nodes_service(self._naming)), render.NODE_POLICIES)
        template = aws.ec2.LaunchTemplate(
            f"{self._name}-nodes",
            name=self._naming.node_group(),
            # One hop: no pod reaches the node's own rights, whatever its network policies let through.
            metadata_options={"http_endpoint": "enabled", "http_tokens": "required", "http_put_response_hop_limit": 1},
            block_device_mappings=[
                {
                    "device_name": render.ROOT_DEVICE,
                    "ebs": {
                        "volume_size": plan.storage_gib,
                        "volume_type": "gp3",
                        "encrypted": "true",
                        "delete_on_termination": "true",
                    },
                }
            ],
            tag_specifications=[{"resource_type": each, "tags": self._scope.tags} for each in ("instance", "volume")],
            update_default_version=True,
            opts=self._child,
        )
        return aws.eks.NodeGroup(
            f"{self._name}-nodes",
            cluster_name=cluster.name,
            node_group_name=self._naming.node_group(),
            node_role_arn=role.arn,
            subnet_ids=list(subnets),
            ami_type=plan.ami_type,
            instance_types=list(plan.instance_types),
            version=cluster.version,
            scaling_config={"min_size": plan.minimum, "max_size": plan.maximum, "desired_size": plan.minimum},
            update_config={"max_unavailable": 1},
            launch_template={
                "id": template.id,
                "version": template.latest_version.apply(str),
            },
            # Somebody's autoscaler owns the number.
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[*attached, *needs], ignore_changes=["scalingConfig.desiredSize"]
            ),
        )

    def _addon(
        self, cluster: aws.eks.Cluster, addon: Addon, versions: Mapping[str, str], *needs: pulumi.Resource
    ) -> aws.eks.Addon:
        identities: list[aws.eks.AddonPodIdentityAssociationArgs] | None = None
        needed = list(needs)
        if addon is render.VOLUMES:
            role, attached = self._role("volumes", render.trust(render.PODS, pods=True), render.VOLUMES_POLICIES)
            identities = [
                aws.eks.AddonPodIdentityAssociationArgs(role_arn=role.arn, service_account=render.VOLUMES_ACCOUNT)
            ]
            needed += attached
        return aws.eks.Addon(
            f"{self._name}-{addon.name}",
            cluster_name=cluster.name,
            addon_name=addon.name,
            addon_version=versions[addon.name],
            configuration_values=addon.configuration,
            pod_identity_associations=identities,
            resolve_conflicts_on_create="OVERWRITE",
            resolve_conflicts_on_update="OVERWRITE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=needed),
        )

    def _role(
        self, part: str, trust: Mapping[str, object], managed: Sequence[str]
    ) -> tuple[aws.iam.Role, list[aws.iam.RolePolicyAttachment]]:
        role = aws.iam.Role(
            f"{self._name}-{part}",
            name=self._naming.role(part),
            assume_role_policy=text(dict(trust)),
            permissions_boundary=self._scope.settings.aws.permissions_boundary,
            opts=self._child,
        )
        attached = [
            aws.iam.RolePolicyAttachment(
                f"{self._name}-{part}-{each.rpartition('/')[2]}",
                role=role.name,
                policy_arn=render.policy_arn(self._naming, each),
                opts=self._child,
            )
            for each in managed
        ]
        return role, attached
