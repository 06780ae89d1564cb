"""The names that a stack gives on AWS: which of them something else has, or blocks because its deletion can be undone.

RDS's final snapshots block nothing, because their names end in characters that AWS draws (render/database.py); nor does
the log group of Container Insights, because an update takes it over (insights.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered
from mlflow_backend.aws.naming import LOG_GROUPS
from mlflow_backend.findings import failed, passed, skipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mlflow_backend.aws.asking import Account
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.findings import Finding
    from mlflow_backend.settings import Settings

_CHECK: Final = "names"
_PROP: Final = "aws.account"


@dataclass(frozen=True)
class Kind:
    """How one kind of resource is looked for by its name.

    `parameters` are the operation's, with `{name}` in them; `found` is a JMESPath of the answer, empty if the name is
    free; `absent` are the codes that say the same, `foreign` those by which another account has the name. `frees` is
    the command that frees it; `{found}` in it is what was found.
    """

    what: str
    service: str
    operation: str
    parameters: Mapping[str, Any]
    found: str
    frees: str
    absent: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()


SECRET: Final = Kind(
    "secret", "secretsmanager", "describe_secret", {"SecretId": "{name}"}, "Name",
    "aws secretsmanager delete-secret --secret-id {name} --force-delete-without-recovery",
    ("ResourceNotFoundException",),
)  # fmt: skip
LOG_GROUP: Final = Kind(
    "log group", "logs", "describe_log_groups", {"logGroupNamePrefix": "{name}"},
    "logGroups[?logGroupName=='{name}'] | [0].logGroupName", "aws logs delete-log-group --log-group-name {name}",
)  # fmt: skip
KEY_ALIAS: Final = Kind(
    "key alias", "kms", "describe_key", {"KeyId": "{name}"}, "KeyMetadata.KeyId",
    "aws kms delete-alias --alias-name {name}", ("NotFoundException",),
)  # fmt: skip
BUCKET: Final = Kind(
    "bucket", "s3", "head_bucket", {"Bucket": "{name}"}, "ResponseMetadata",
    "aws s3api delete-bucket --bucket {name}", ("404", "NoSuchBucket"), ("403",),
)  # fmt: skip
ROLE: Final = Kind(
    "role", "iam", "get_role", {"RoleName": "{name}"}, "Role.RoleName",
    "aws iam delete-role --role-name {name}", ("NoSuchEntity",),
)  # fmt: skip
DATABASE: Final = Kind(
    "database", "rds", "describe_db_instances", {"DBInstanceIdentifier": "{name}"},
    "DBInstances[0].DBInstanceIdentifier",
    "aws rds delete-db-instance --db-instance-identifier {name} --final-db-snapshot-identifier {name}-kept",
    ("DBInstanceNotFound", "DBInstanceNotFoundFault"),
)  # fmt: skip
DATABASE_SUBNETS: Final = Kind(
    "database subnet group", "rds", "describe_db_subnet_groups", {"DBSubnetGroupName": "{name}"},
    "DBSubnetGroups[0].DBSubnetGroupName", "aws rds delete-db-subnet-group --db-subnet-group-name {name}",
    ("DBSubnetGroupNotFoundFault",),
)  # fmt: skip
CACHE: Final = Kind(
    "cache", "elasticache", "describe_replication_groups", {"ReplicationGroupId": "{name}"},
    "ReplicationGroups[0].ReplicationGroupId",
    "aws elasticache delete-replication-group --replication-group-id {name}", ("ReplicationGroupNotFoundFault",),
)  # fmt: skip
BALANCER: Final = Kind(
    "load balancer", "elbv2", "describe_load_balancers", {"Names": ["{name}"]}, "LoadBalancers[0].LoadBalancerArn",
    "aws elbv2 delete-load-balancer --load-balancer-arn {found}", ("LoadBalancerNotFound",),
)  # fmt: skip
TARGETS: Final = Kind(
    "target group", "elbv2", "describe_target_groups", {"Names": ["{name}"]}, "TargetGroups[0].TargetGroupArn",
    "aws elbv2 delete-target-group --target-group-arn {found}", ("TargetGroupNotFound",),
)  # fmt: skip


def given(settings: Settings, naming: Naming, *, roles: Iterable[str]) -> Iterator[tuple[Kind, str]]:
    """Return each name that the parts of a backend on AWS get, with its kind; `roles` are the target's.

    What is adopted has a name of its own.
    """
    if settings.access.mode != "none":
        yield SECRET, naming.secret("server")
    if settings.access.mode == "token":
        yield SECRET, naming.secret("api-keys")
    for part in LOG_GROUPS:
        yield LOG_GROUP, naming.log_group(part)
    # Not the group of Container Insights, which may be left after a destroy: an update takes it over.
    yield KEY_ALIAS, naming.key_alias()
    yield BALANCER, naming.balancer()
    yield TARGETS, naming.targets()
    for part in roles:
        yield ROLE, naming.role(part)
    if settings.artifacts.mode == "create":
        yield BUCKET, naming.bucket("data")
    if settings.database.mode == "create":
        yield DATABASE, naming.database()
        yield DATABASE_SUBNETS, naming.database_group()
    if settings.cache.mode == "create":
        yield CACHE, naming.cache()
        yield SECRET, naming.secret("cache")


def check(
    account: Account, names: Iterable[tuple[Kind, str]], naming: Naming, *, deployed: bool | Unanswered
) -> Iterator[Finding]:
    """Look for every name. One line stands for all that are free."""
    if isinstance(deployed, Unanswered):
        yield skipped(_CHECK, _PROP, f"whether the stack is deployed could not be asked: {deployed.why}.")
        return
    if deployed:
        said = f"the cluster {naming.cluster()} is this stack's, so what has its names counts as its own."
        yield skipped(_CHECK, _PROP, said)
        return
    free = 0
    for kind, name in names:
        found = holder(account, kind, name)
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


def holder(account: Account, kind: Kind, name: str) -> Any:
    """Return what has the name, as `kind.found` describes it; None if it is free."""
    import jmespath  # noqa: PLC0415 - boto3's own, as boto3

    answer = account.ask(kind.service, kind.operation, **_filled(kind.parameters, name))
    if isinstance(answer, Unanswered):
        return None if answer.why in kind.absent else answer
    return jmespath.search(kind.found.format(name=name), answer)


def _filled(parameters: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {
        key: [each.format(name=name) for each in value] if isinstance(value, list) else value.format(name=name)
        for key, value in parameters.items()
    }
