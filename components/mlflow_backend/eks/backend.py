"""The target `eks` as one component: AWS's parts, the cluster, and in it the workload of the target kubernetes.

Owns the wiring. What is where is decided in `within`, what AWS's parts are in `aws`, what pods run in `kubernetes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import pulumi
import pulumi_aws as aws
import pulumi_kubernetes as kubernetes

from mlflow_backend.aws import plugin
from mlflow_backend.aws.cache import Cache
from mlflow_backend.aws.cluster import Cluster
from mlflow_backend.aws.connection import Connection, refuse_provider
from mlflow_backend.aws.database import Database
from mlflow_backend.aws.existing import ExistingCache, ExistingDatabase, ExistingNetwork
from mlflow_backend.aws.identity import Identity
from mlflow_backend.aws.monitoring import Monitoring
from mlflow_backend.aws.network import Network
from mlflow_backend.aws.render import alarms
from mlflow_backend.aws.render.cluster import SUBNET_TAGS, pods_trust
from mlflow_backend.aws.render.database import database_plan
from mlflow_backend.aws.render.network import CACHE_PORT, DATABASE_PORT
from mlflow_backend.aws.scope import Placement, Scope
from mlflow_backend.aws.storage import Storage
from mlflow_backend.backend import Backend
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.eks import addons, preflight
from mlflow_backend.eks.connection import EksConnection
from mlflow_backend.eks.locator import EksLocator, eks_locator
from mlflow_backend.eks.platform import EksPlatform
from mlflow_backend.eks.provider import Login
from mlflow_backend.eks.refusals import naming_of
from mlflow_backend.eks.roles import roles
from mlflow_backend.eks.within import (
    ADMINISTRATOR,
    CACHE_LOGIN,
    DATABASE_LOGIN,
    HOST,
    STORAGE_CLASS,
    cluster_arn,
    created,
    elasticache,
    rds,
    within,
    without_balancer,
)
from mlflow_backend.findings import documents
from mlflow_backend.kubernetes.preflight import monitors, refuse
from mlflow_backend.kubernetes.render import server
from mlflow_backend.kubernetes.workload import Workload, pinned_release, refuse_cluster_provider
from mlflow_backend.settings import refuse_broken
from mlflow_backend.tokens import EKS_BACKEND

if TYPE_CHECKING:
    from mlflow_backend.findings import Finding
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.releases.pins import PinnedRelease
    from mlflow_backend.settings import Settings

Store = Literal["database", "cache"]
_PORTS: Final[dict[Store, int]] = {"database": DATABASE_PORT, "cache": CACHE_PORT}
_RESTRICTED: Final = "restricted"


@dataclass(frozen=True, kw_only=True)
class EksBackendArgs:
    """A backend on EKS, from the settings of a stack's file or of a program.

    Left out, the connection is that of the environment, to the settings' region.
    """

    settings: Settings
    connection: Connection | None = None


class EksBackend(Backend):
    """An MLflow backend on a cluster of Amazon EKS.

    Attributes: `tracking_url`, `release`, `verification`; the parts `storage`, `network`, `cluster`, `database` and
    `cache` (None if it is in the cluster), `monitoring` (None if both are) and `identity`, whose resources others may
    build on; `objects`, the cluster's objects by what each is for; `provider` and `kubernetes`, the providers of AWS
    and of the cluster.
    """

    def __init__(self, name: str, args: EksBackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Look at the cluster, read the ledger, and register everything in the order of an update.

        Raises SettingsError for settings that break a rule; Refused for settings that this target cannot fulfil, that
        disagree with the ledger, for a cluster that is not ready, for a provider in `opts`, and if a version of an
        add-on is not found; PlatformFailed if AWS does not answer.
        """
        refuse_provider(name, opts)
        refuse_cluster_provider(name, opts)
        settings = args.settings
        refuse_broken(settings)
        naming, objects = naming_of(settings, project=pulumi.get_project(), stack=pulumi.get_stack(), name=name)
        connection = args.connection or Connection(naming.region)
        self._scope = Scope(settings=without_balancer(settings), naming=naming, connection=connection)
        self._objects, self._inner = objects, within(settings, naming, objects)
        self._locator = eks_locator(settings, naming, objects, connection)
        plugin.require()
        versions = addons.versions(settings, connection) if created(settings) else {}
        identity = server.identity(self._inner, objects)
        findings, pinned, template = _inspect(settings, self._inner, self._locator, identity)
        self.provider = self._scope.provider(f"{name}-aws")
        super().__init__(
            EKS_BACKEND,
            name,
            settings=settings,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[self.provider])),
        )
        self._serve_pinned(pinned)
        self._child = pulumi.ResourceOptions(parent=self)
        self.storage = Storage(f"{name}-storage", self._scope, opts=self._child)
        self._make_cluster(versions)
        self._make_stores()
        self.monitoring = self._watch()
        self._make_identity()
        workload = Workload(
            name,
            self,
            settings=self._inner,
            naming=objects,
            locator=self._locator,
            pinned=template,
            provider=self.kubernetes,
            needs=[*self._ground, *self._logins(), *self._associations],
            monitors=monitors(findings),
        )
        self.objects, self.secrets = workload.objects, workload.secrets
        self._end_update(workload.serving(), after=[workload.rollout])
        workload.publish_logins()
        self._give_outputs(
            artifact_root=self._locator.store.address(ARTIFACTS),
            dashboard_url=self.monitoring.dashboard_url if self.monitoring else None,
            preflight=documents(findings),
        )

    def _make_cluster(self, versions: dict[str, str]) -> None:
        """Make network and cluster, or adopt them, and in a created one the namespace and its StorageClass."""
        name, settings, locator = self._name, self._settings, self._locator
        self.network = (
            Network(
                f"{name}-network",
                self._scope,
                existing=ExistingNetwork.of(settings),
                rules=(),
                subnet_tags=SUBNET_TAGS,
                opts=self._child,
            )
            if self._needs_network
            else None
        )
        self.cluster = Cluster(
            f"{name}-cluster",
            self._scope,
            cluster_name=locator.cluster,
            subnets=self.network.data_subnets if self.network else (),
            key_arn=self.storage.key_arn,
            versions=versions,
            opts=self._child,
        )
        connection = EksConnection(aws=locator.aws, cluster=locator.cluster, context=locator.context)
        self.kubernetes = kubernetes.Provider(
            f"{name}-kubernetes",
            kubeconfig=pulumi.Output.all(self.cluster.endpoint, self.cluster.authority).apply(
                lambda found: connection.kubeconfig(endpoint=found[0], authority=found[1])
            ),
            namespace=self._objects.namespace,
            # Another text of the kubeconfig is not another cluster.
            cluster_identifier=locator.context,
            # What was in a cluster that the stack made went with it.
            delete_unreachable=created(settings),
            opts=self._child,
        )
        self._ground = [*self.cluster.ready, *(self._make_namespace() if created(settings) else ())]

    def _make_namespace(self) -> list[pulumi.Resource]:
        opts = pulumi.ResourceOptions(parent=self, provider=self.kubernetes, depends_on=self.cluster.ready)
        labels = {f"pod-security.kubernetes.io/{each}": _RESTRICTED for each in ("enforce", "warn")}
        namespace = kubernetes.core.v1.Namespace(
            f"{self._name}-namespace",
            metadata={"name": self._objects.namespace, "labels": labels},
            opts=opts,
        )
        storage_class = kubernetes.storage.v1.StorageClass(
            f"{self._name}-storage-class",
            metadata={"name": STORAGE_CLASS},
            provisioner="ebs.csi.aws.com",
            parameters={"type": "gp3", "encrypted": "true"},
            # The volume is made in the zone of the node that its pod is put on.
            volume_binding_mode="WaitForFirstConsumer",
            allow_volume_expansion=True,
            opts=opts,
        )
        return [namespace, storage_class]

    def _make_stores(self) -> None:
        """Make or adopt database and cache outside of the cluster, and let the cluster's pods reach them."""
        name, scope, child = self._name, self._scope, self._child
        database, cache = ExistingDatabase.of(self._settings), ExistingCache.of(self._settings)
        self.database: Database | None = None
        self.cache: Cache | None = None
        if (placement := self._placement("database", database, made=rds(self._settings))) is not None:
            self.database = Database(f"{name}-database", scope, placement, existing=database, opts=child)
        if (placement := self._placement("cache", cache, made=elasticache(self._settings))) is not None:
            self.cache = Cache(f"{name}-cache", scope, placement, existing=cache, opts=child)

    def _placement(
        self, part: Store, existing: ExistingDatabase | ExistingCache | None, *, made: bool
    ) -> Placement | None:
        """Return where a store outside of the cluster is, None if it is within.

        Nodes and pods reach it by a rule, and nobody else does by one of ours.
        """
        if existing is not None:
            group, port = pulumi.Output.from_input(existing.security_group), existing.port
            placement = Placement(subnets=(), security_group=group, key_arn=self.storage.key_arn)
        elif made and self.network is not None:
            group, port = self._group(part, self.network).id, _PORTS[part]
            placement = Placement(subnets=self.network.data_subnets, security_group=group, key_arn=self.storage.key_arn)
        else:
            return None
        aws.vpc.SecurityGroupIngressRule(
            f"{self._name}-{part}-from-cluster",
            security_group_id=group,
            referenced_security_group_id=self.cluster.security_group,
            ip_protocol="tcp",
            from_port=port,
            to_port=port,
            description="pods of the cluster",
            opts=self._child,
        )
        return placement

    def _group(self, part: Store, network: Network) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            f"{self._name}-{part}",
            name=self._scope.naming.security_group(part),
            description=f"{part} of {self._locator.cluster}",
            vpc_id=network.vpc_id,
            # Rules are resources of their own; given here, each would undo the other.
            opts=pulumi.ResourceOptions(parent=self, ignore_changes=["ingress", "egress"]),
        )

    def _watch(self) -> Monitoring | None:
        """Watch the stores of AWS's that the stack makes; what runs in the cluster is Prometheus's to watch."""
        settings, naming = self._settings, self._scope.naming
        watched = alarms.of_stores(
            database=database_plan(settings) if rds(settings) else None, cache=elasticache(settings)
        )
        if not watched:
            return None
        return Monitoring(
            f"{self._name}-monitoring",
            self._scope,
            watched=watched,
            identifiers={"database": naming.database(), "cache": alarms.first_node(naming.cache())},
            key_arn=self.storage.key_arn,
            opts=self._child,
        )

    def _make_identity(self) -> None:
        """Make the roles of the pods, and give each to its service account."""
        naming, objects = self._scope.naming, self._objects
        self.identity = Identity(
            f"{self._name}-identity",
            self._scope,
            trust=pods_trust(cluster_arn=cluster_arn(self._settings, naming), namespace=objects.namespace),
            roles=roles(self._settings, naming),
            given={"store": self.storage.store},
            opts=self._child,
        )
        self.storage.admit(self.identity.roles["server"])
        needs = [*self.cluster.ready, *self.identity.attached]
        self._associations = [
            aws.eks.PodIdentityAssociation(
                f"{self._name}-{part}-identity",
                cluster_name=self._locator.cluster,
                namespace=objects.namespace,
                service_account=objects.account(part),
                role_arn=role.arn,
                opts=pulumi.ResourceOptions(parent=self, depends_on=needs),
            )
            for part, role in self.identity.roles.items()
        ]

    def _logins(self) -> list[Login]:
        """Copy what pods log in with into the cluster."""
        found: dict[str, dict[str, Any]] = {}
        if self.database is not None and self.database.admin_secret is not None:
            found[ADMINISTRATOR] = {"source": self.database.admin_secret}
            found[DATABASE_LOGIN] = {"source": "", "given": {HOST: self.database.host}, "drawn": ["password"]}
        elif self.database is not None and self.database.secret is not None:
            found[DATABASE_LOGIN] = {"source": self.database.secret.apply(lambda each: each.arn)}
        if self.cache is not None:
            found[CACHE_LOGIN] = {"source": self.cache.secret.apply(lambda each: each.arn)}
        return [
            Login(
                f"{self._name}-{part}",
                locator=self._locator.document(),
                secret=self._objects.part(part),
                labels=self._objects.labels(part.partition("-")[0]),
                **{"given": {}, "drawn": [], **props},
                opts=self._after(*self._ground, *([self.cache] if part == CACHE_LOGIN and self.cache else [])),
            )
            for part, props in found.items()
        ]

    @property
    def _needs_network(self) -> bool:
        settings = self._settings
        return created(settings) or rds(settings) or elasticache(settings)


def _inspect(
    settings: Settings, inner: Settings, locator: EksLocator, identity: str
) -> tuple[tuple[Finding, ...], PinnedRelease | None, Document | None]:
    """Return what preflight found, and the release that the ledger names instead of this one, with its pod template."""
    findings = refuse(preflight.check(settings, inner, locator))
    return findings, *pinned_release(EksPlatform(locator), identity, requested=settings.release.pin)
