"""IAM documents of a backend on AWS, with what AWS draws given or stood in for. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.aws.naming import LOG_GROUPS
from mlflow_backend.aws.render import policies, storage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.roles import Role
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings


def documents(
    settings: Settings, naming: Naming, roles: Iterable[Role], given: Mapping[str, Any], *, watched: bool = True
) -> dict[str, Mapping[str, Any]]:
    """Return the documents of the roles, of the key and of the buckets; `given` is what the roles' documents take.

    There is a topic if anything is `watched`, and none is given.
    """
    found: dict[str, Mapping[str, Any]] = {f"role {role.part}": role.written(given) for role in roles}
    found["key policy"] = policies.key(naming, log_group_arns=[naming.log_group_arn(part) for part in LOG_GROUPS])
    if settings.artifacts.mode == "create":
        server = naming.role_arn("server")
        found["data bucket policy"] = policies.data_bucket(naming, given["store"], server_role_arn=server)
    if storage.keeps_logs(settings):
        found["logs bucket policy"] = policies.logs_bucket(naming, bucket=naming.bucket("logs"), data_bucket_arn=None)
    if settings.aws.monitoring.topic is None and watched:
        found["alarm topic policy"] = policies.topic(naming, topic_arn=naming.arn("sns", naming.topic()))
    return found


def billing(*modules: ModuleType) -> dict[str, Billing]:
    """Return, by the type of a resource, what these modules of a backend say it is billed for."""
    return {type_: row for module in modules for type_, row in module.BILLING.items()}
