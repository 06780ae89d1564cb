"""The names that a stack gives on AWS: which of them something else has, or blocks because its deletion can be undone.

RDS's final snapshots block nothing, because their names end in characters that AWS draws (render/database.py); nor does
the log group of Container Insights, because an update takes it over (insights.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.ecs.render.policies import ROLES
from mlflow_backend.preflight.asking import Unanswered
from mlflow_backend.preflight.findings import failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.ecs.doctor.account import Account
    from mlflow_backend.preflight.findings import Finding
    from mlflow_backend.settings import Settings

_CHECK: Final = "names"
_PROP: Final = "aws.account"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How one kind of resource is looked for by its name.

    `asked` holds the operation's parameters with `{name}` in them; `found` is a JMESPath of the answer, empty if the
    name is free; `absent` are the codes that say the same, `foreign` those by which another account has the name.
    `frees` is the command that frees it; `{found}` in it is what was found.
    """

    what: str
    service: str
    operation: str
    asked: Mapping[str, Any]
    found: str
    frees: str
    absent: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()


CLUSTER: Final = Kind(
    what="cluster", service="ecs", operation="describe_clusters", asked={"clusters": ["{name}"], "include": ["TAGS"]},
    found="clusters[?status=='ACTIVE'] | [0]", frees="aws ecs delete-cluster --cluster {name}",
)  # fmt: skip
SECRET: Final = Kind(
    what="secret", service="secretsmanager", operation="describe_secret", asked={"SecretId": "{name}"}, found="Name",
    absent=frozenset({"ResourceNotFoundException"}),
    frees="aws secretsmanager delete-secret --secret-id {name} --force-delete-without-recovery",
)  # fmt: skip
LOG_GROUP: Final = Kind(
    what="log group", service="logs", operation="describe_log_groups", asked={"logGroupNamePrefix": "{name}"},
    found="logGroups[?logGroupName=='{name}'] | [0].logGroupName",
    frees="aws logs delete-log-group --log-group-name {name}",
)  # fmt: skip
KEY_ALIAS: Final = Kind(
    what="key alias", service="kms", operation="describe_key", asked={"KeyId": "{name}"}, found="KeyMetadata.KeyId",
    absent=frozenset({"NotFoundException"}), frees="aws kms delete-alias --alias-name {name}",
)  # fmt: skip
BUCKET: Final = Kind(
    what="bucket", service="s3", operation="head_bucket", asked={"Bucket": "{name}"}, found="ResponseMetadata",
    absent=frozenset({"404", "NoSuchBucket"}), foreign=frozenset({"403"}),
    frees="aws s3api delete-bucket --bucket {name}",
)  # fmt: skip
ROLE: Final = Kind(
    what="role", service="iam", operation="get_role", asked={"RoleName": "{name}"}, found="Role.RoleName",
    absent=frozenset({"NoSuchEntity"}), frees="aws iam delete-role --role-name {name}",
)  # fmt: skip
DATABASE: Final = Kind(
    what="database", service="rds", operation="describe_db_instances", asked={"DBInstanceIdentifier": "{name}"},
    found="DBInstances[0].DBInstanceIdentifier", absent=frozenset({"DBInstanceNotFound", "DBInstanceNotFoundFault"}),
    frees="aws rds delete-db-instance --db-instance-identifier {name} --final-db-snapshot-identifier {name}-kept",
)  # fmt: skip
DATABASE_SUBNETS: Final = Kind(
    what="database subnet group", service="rds", operation="describe_db_subnet_groups",
    asked={"DBSubnetGroupName": "{name}"}, found="DBSubnetGroups[0].DBSubnetGroupName",
    absent=frozenset({"DBSubnetGroupNotFoundFault"}),
    frees="aws rds delete-db-subnet-group --db-subnet-group-name {name}",
)  # fmt: skip
CACHE: Final = Kind(
    what="cache", service="elasticache", operation="describe_replication_groups",
    asked={"ReplicationGroupId": "{name}"}, found="ReplicationGroups[0].ReplicationGroupId",
    absent=frozenset({"ReplicationGroupNotFoundFault"}),
    frees="aws elasticache delete-replication-group --replication-group-id {name}",
)  # fmt: skip
BALANCER: Final = Kind(
    what="load balancer", service="elbv2", operation="describe_load_balancers", asked={"Names": ["{name}"]},
    found="LoadBalancers[0].LoadBalancerArn", absent=frozenset({"LoadBalancerNotFound"}),
    frees="aws elbv2 delete-load-balancer --load-balancer-arn {found}",
)  # fmt: skip
TARGETS: Final = Kind(
    what="target group", service="elbv2", operation="describe_target_groups", asked={"Names": ["{name}"]},
    found="TargetGroups[0].TargetGroupArn", absent=frozenset({"TargetGroupNotFound"}),
    frees="aws elbv2 delete-target-group --target-group-arn {found}",
)  # fmt: skip


def deployed(account: Account, naming: Naming) -> bool | Unanswered:
    """Return whether the cluster is there and carries the stack's tags: then what has the names is the stack's own."""
    cluster = _found(account, CLUSTER, naming.cluster())
    if isinstance(cluster, Unanswered):
        return cluster
    tags = {each["key"]: each["value"] for each in (cluster or {}).get("tags", [])}
    return (tags.get("project"), tags.get("stack")) == (naming.project, naming.stack)


def given(settings: Settings, naming: Naming) -> Iterator[tuple[Kind, str]]:
    """Return each name that an update gives, with its kind. What is adopted has a name of its own."""
    yield CLUSTER, naming.cluster()
    if settings.access.mode != "none":
        yield SECRET, naming.secret("server")
    if settings.access.mode == "token":
        yield SECRET, naming.secret("api-keys")
    for part in ("server", "tasks"):
        yield LOG_GROUP, naming.log_group(part)
    # Not the group of Container Insights, which may be left after a destroy: an update takes it over.
    yield KEY_ALIAS, naming.key_alias()
    yield BALANCER, naming.balancer()
    yield TARGETS, naming.targets()
    for part in ROLES:
        yield ROLE, naming.role(part)
    if settings.artifacts.mode == "create":
        yield BUCKET, naming.bucket("data")
    if settings.database.mode == "create":
        yield DATABASE, naming.database()
        yield DATABASE_SUBNETS, naming.database_group()
    if settings.cache.mode == "create":
        yield CACHE, naming.cache()
        yield SECRET, naming.secret("cache")


def look(account: Account, settings: Settings, naming: Naming, *, deployed: bool | Unanswered) -> Iterator[Finding]:
    """Look for every name that is given. One line stands for all that are free."""
    if isinstance(deployed, Unanswered):
        yield skipped(_CHECK, _PROP, f"whether the stack is deployed could not be asked: {deployed.why}.")
        return
    if deployed:
        said = f"the cluster {naming.cluster()} is this stack's, so what has its names counts as its own."
        yield skipped(_CHECK, _PROP, said)
        return
    free = 0
    for kind, name in given(settings, naming):
        found = _found(account, kind, name)
        if isinstance(found, Unanswered) and found.why in kind.foreign:
            said = f"the {kind.what} {name} is another account's, or its policy shuts this one out."
            yield failed(_CHECK, _PROP, said, "Give the project or the stack another name.")
        elif isinstance(found, Unanswered):
            yield skipped(_CHECK, _PROP, f"whether {kind.what} {name} is free could not be asked: {found.why}.")
        elif found:
            yield _taken(account, kind, name, found)
        else:
            free += 1
    yield passed(_CHECK, _PROP, f"{free} names of {naming.cluster()} are free.")


def _taken(account: Account, kind: Kind, name: str, found: Any) -> Finding:
    said = f"the {kind.what} {name} is there already, and not by this stack."
    fix = "Keep what you need of it; the command frees the name."
    if kind is SECRET:
        described = account.ask("secretsmanager", "describe_secret", SecretId=name)
        if not isinstance(described, Unanswered) and described.get("DeletedDate"):
            said = f"the secret {name} was deleted, and its recovery window blocks the name."
            fix = "`aws secretsmanager restore-secret` brings it back; the command ends the window, and its values."
    return failed(_CHECK, _PROP, said, fix, f"{kind.frees.format(name=name, found=found)} --region {account.region}")


def _found(account: Account, kind: Kind, name: str) -> Any:
    import jmespath  # noqa: PLC0415 - boto3's own, as boto3

    answer = account.ask(kind.service, kind.operation, **_filled(kind.asked, name))
    if isinstance(answer, Unanswered):
        return None if answer.why in kind.absent else answer
    return jmespath.search(kind.found.format(name=name), answer)


def _filled(parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        key: [each.format(name=name) for each in value] if isinstance(value, list) else value.format(name=name)
        for key, value in parameters.items()
    }
