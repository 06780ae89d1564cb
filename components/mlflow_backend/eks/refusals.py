"""Settings that the target `eks` cannot fulfil, refused before anything is touched. Pure.

They are those of AWS, those of Kubernetes for the workload within the cluster, and its own. One error lists every
finding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic.alias_generators import to_camel

from mlflow_backend.aws import refusals as of_aws
from mlflow_backend.aws.naming import Naming
from mlflow_backend.eks.within import created, elasticache, rds, within
from mlflow_backend.kubernetes import refusals as of_kubernetes
from mlflow_backend.kubernetes.naming import Naming as ObjectNaming
from mlflow_backend.settings.unfulfillable import refuse_unfulfillable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.settings import Settings

_BALANCER: Final = frozenset(
    {"certificate", "hosted_zone", "internal", "allowed_cidrs", "access_logs", "public_subnets"}
)
_CREATED: Final = ("cluster.version", "cluster.endpoint", "cluster.allowed_cidrs", "cluster.administrators", "nodes")
_LEAST_SUBNETS: Final = 2


def refuse_unsupported(settings: Settings) -> None:
    """Raise Refused, with every finding, for settings that this target cannot fulfil: none is ignored."""
    findings = [finding for rule in RULES for finding in rule(settings)]
    # Names and settings within the cluster take account and region for given.
    if not any(of_aws.account(settings)):
        findings += _workload(settings)
    refuse_unfulfillable("eks", dict.fromkeys(findings))


def naming_of(settings: Settings, *, project: str, stack: str, name: str = "mlflow") -> tuple[Naming, ObjectNaming]:
    """Return what AWS's parts and the cluster's objects are called. Raises Refused for what cannot be fulfilled."""
    refuse_unsupported(settings)
    return _names(settings, project=project, stack=stack, name=name)


def _names(settings: Settings, *, project: str, stack: str, name: str = "mlflow") -> tuple[Naming, ObjectNaming]:
    return (
        Naming.of(settings, project=project, stack=stack, name=name),
        ObjectNaming(
            project=project, stack=stack, name=name, namespace=settings.kubernetes.namespace, tags=dict(settings.tags)
        ),
    )


def _workload(settings: Settings) -> Iterator[str]:
    """What Kubernetes cannot do within the cluster."""
    derived = within(settings, *_names(settings, project="p", stack="s"))
    for rule in of_kubernetes.RULES:
        yield from rule(derived)


def cluster(settings: Settings) -> Iterator[str]:
    """A created cluster has a version, an adopted one all that it is."""
    wanted = settings.eks.cluster
    if created(settings):
        if wanted.version is None:
            yield "eks.cluster.version is missing for the created cluster (aws eks describe-cluster-versions)"
        if wanted.endpoint == "restricted" and not wanted.allowed_cidrs:
            yield "eks.cluster.allowedCidrs is empty, and a restricted endpoint is for those who deploy"
        if wanted.endpoint == "private" and wanted.allowed_cidrs:
            yield "eks.cluster.allowedCidrs is set, and a private endpoint is reached from its own network alone"
        if "0.0.0.0/0" in wanted.allowed_cidrs:
            yield "eks.cluster.allowedCidrs lets everybody call the cluster's API; name those who deploy"
        if settings.eks.nodes.minimum > settings.eks.nodes.maximum:
            yield "eks.nodes.minimum is more than eks.nodes.maximum"
        return
    for key in _CREATED:
        section, _, field = key.rpartition(".")
        holder = getattr(settings.eks, section) if section else settings.eks
        if field in holder.model_fields_set:
            yield f"eks.{'.'.join(map(to_camel, key.split('.')))} is of a created cluster, and this one is adopted"
    if settings.eks.addons.model_fields_set:
        yield "eks.addons are those of a created cluster, and eks.cluster.existing names one"


def network(settings: Settings) -> Iterator[str]:
    """Nodes reach AWS by a gateway, an adopted cluster has its network, and this target makes no load balancer."""
    wanted = settings.aws.network
    adopted = settings.network.mode == "adopt"
    if not adopted and wanted.egress not in {"nat", "natPerZone"}:
        yield f"aws.network.egress is {wanted.egress}, and nodes of EKS go out by nat or natPerZone here"
    if not adopted and not created(settings) and (rds(settings) or elasticache(settings)):
        yield (
            "network.mode is create, and a database or cache for the adopted cluster belongs into its VPC "
            "(network.existing, aws.network.privateSubnets)"
        )
    if adopted and len(wanted.private_subnets) < _LEAST_SUBNETS:
        yield "aws.network.privateSubnets of an adopted network must name two or more, in different zones"
    if not adopted and wanted.private_subnets:
        yield "aws.network.privateSubnets are of an adopted network, and network.mode is create"
    if adopted and (shaping := {"cidr", "zones", "egress"} & wanted.model_fields_set):
        yield f"aws.network.{min(shaping)} shapes a created network, and network.mode is adopt"
    for field in sorted(_BALANCER & wanted.model_fields_set):
        yield f"aws.network.{to_camel(field)} is of a load balancer, which this target does not make"


def stores(settings: Settings) -> Iterator[str]:
    """What sizes an instance of RDS or a cache of ElastiCache is of one that is made."""
    if rds(settings):
        yield from of_aws.database_size(settings)
    for part, made, sizes in (
        ("database", rds(settings), {"instance_class", "storage", "max_storage", "multi_az"}),
        ("cache", elasticache(settings), {"engine", "node_type", "replicas"}),
    ):
        within_cluster = not made and getattr(settings, part).mode == "create"
        if within_cluster and (sized := sizes & getattr(settings.aws, part).model_fields_set):
            yield f"aws.{part}.{to_camel(min(sized))} sizes a {part} of AWS's, and eks.{part} is cluster"


def elsewhere(settings: Settings) -> Iterator[str]:
    """Settings of the other two platforms' sections that nothing here reads."""
    kubernetes, aws = settings.kubernetes, settings.aws
    for key, value in (
        ("kubernetes.kubeconfig", kubernetes.kubeconfig),
        ("kubernetes.context", kubernetes.context),
        ("kubernetes.artifacts.endpoint", kubernetes.artifacts.endpoint),
        ("kubernetes.artifacts.secret", kubernetes.artifacts.secret),
        ("kubernetes.database.secret", kubernetes.database.secret),
        ("kubernetes.database.hostKey", kubernetes.database.host_key),
        ("kubernetes.database.administrator", kubernetes.database.administrator),
        ("kubernetes.database.ca", kubernetes.database.ca),
        ("kubernetes.cache.secret", kubernetes.cache.secret),
        ("kubernetes.backup.endpoint", kubernetes.backup.endpoint),
        ("kubernetes.backup.secret", kubernetes.backup.secret),
        ("aws.registrySecret", aws.registry_secret),
    ):
        if value is not None:
            yield f"{key} is set, and nothing of this target reads it"
    if not rds(settings) and not elasticache(settings):
        for key, value in (
            ("aws.monitoring.topic", aws.monitoring.topic),
            ("aws.monitoring.email", aws.monitoring.email),
        ):
            if value is not None:
                yield f"{key} is set, and there is neither a database of RDS nor a cache of ElastiCache to watch"
    for key, set_ in (
        ("kubernetes.artifacts.region", "region" in kubernetes.artifacts.model_fields_set),
        ("kubernetes.database.rds", kubernetes.database.rds),
        ("aws.architecture", "architecture" in aws.model_fields_set),
        ("aws.scaling", bool(aws.scaling.model_fields_set)),
    ):
        if set_:
            yield f"{key} is set, and nothing of this target reads it"


RULES: tuple[Callable[[Settings], Iterator[str]], ...] = (
    of_aws.account,
    of_aws.tags,
    of_aws.adopted_server,
    of_aws.adopted_store,
    of_aws.backups,
    cluster,
    network,
    stores,
    elsewhere,
)
