"""What a backend's task definitions and IAM documents say before AWS has drawn any of its names. Pure.

A first preview of the engine does not know them: they are made of ARNs and addresses that AWS has yet to draw. The
functions that render them are the update's own, given stand-ins in the form of what is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.render import alarms, balancer, cache, database, network, secrets, storage
from mlflow_backend.aws.render import policies as aws_policies
from mlflow_backend.aws.render.secrets import SecretSource
from mlflow_backend.ecs.render import service, tasks
from mlflow_backend.ecs.render.roles import roles
from mlflow_backend.ecs.render.tasks import Reached
from mlflow_backend.report.policies import RenderedParts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

_NO_IMAGE: Final = "image-that-preflight-has-not-resolved"
_SUFFIX: Final = "AbCdEf"  # AWS draws six letters for each secret's ARN.

BILLING: Final[Mapping[str, Billing]] = {
    type_: row
    for module in (alarms, balancer, cache, database, network, secrets, storage, service)
    for type_, row in module.BILLING.items()
}


def render(settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
    """Return the parts of a stack. `image` is the one that preflight has pinned; None if it has not.

    Raises Refused and ValueError for settings that cannot be rendered.
    """
    naming = Naming(project=project, stack=stack, account=str(settings.aws.account), region=str(settings.aws.region))
    store = storage.store(settings, naming)
    reached = _reached(settings, naming, image or _NO_IMAGE)
    admin = SecretSource(arn=_secret(naming, "rds"), key="") if settings.database.mode == "create" else None
    server = tasks.server_task(settings, naming, reached, store=store)
    database_task = tasks.database_task(settings, naming, reached, store=store, admin_secret=admin)
    found = {"server task": server, "database task": database_task}
    if settings.aws.network.internal:
        found["verify task"] = tasks.verify_task(settings, naming, reached)
    return RenderedParts(
        inputs={service.TASK: {"cpu": server.cpu, "memory": server.memory}},
        containers={name: task.container_definitions for name, task in found.items()},
        documents=_documents(settings, naming, reached, admin),
        image_known=image is not None,
    )


def _reached(settings: Settings, naming: Naming, image: str) -> Reached:
    """Return stand-ins for what AWS draws, each in its form."""
    return Reached(
        image=image,
        public_url=settings.network.public_url or f"http://{naming.balancer()}.elb.amazonaws.com",
        database_host="database.invalid",
        database_port=5432,
        cache_host="cache.invalid",
        cache_port=6379,
        database_secret=SecretSource(arn=_secret(naming, "server"), key="database-password"),
        server_secret=SecretSource(arn=_secret(naming, "server"), key=""),
        cache_secret=SecretSource(arn=_secret(naming, "cache"), key="url"),
        execution_role_arn=naming.role_arn("server-execution"),
        task_role_arn=naming.role_arn("server"),
        keys_secret=_secret(naming, "api-keys") if settings.access.mode == "token" else "",
    )


def _documents(
    settings: Settings, naming: Naming, reached: Reached, admin: SecretSource | None
) -> dict[str, Mapping[str, Any]]:
    store = storage.store(settings, naming)
    key = naming.arn("kms", "key/drawn-by-aws")
    given = {
        "store": store,
        "key": key,
        "server": reached.server_secret.arn,
        "database": reached.database_secret.arn,
        "cache": reached.cache_secret.arn,
        "admin": admin.arn if admin else None,
        "api_keys": reached.keys_secret or None,
    }
    found: dict[str, Mapping[str, Any]] = {
        f"role {role.part}": role.document(**{name: given[name] for name in role.given})
        for role in roles(settings, naming)
    }
    found["key policy"] = aws_policies.key(naming, log_group_arns=[naming.log_group_arn(tasks.SERVER)])
    if settings.aws.monitoring.topic is None:
        found["alarm topic policy"] = aws_policies.topic(naming, topic_arn=naming.arn("sns", naming.topic()))
    if settings.artifacts.mode == "create":
        found["data bucket policy"] = aws_policies.data_bucket(naming, store, server_role_arn=reached.task_role_arn)
    if storage.keeps_logs(settings):
        found["logs bucket policy"] = aws_policies.logs_bucket(
            naming, bucket=naming.bucket("logs"), data_bucket_arn=None
        )
    return found


def _secret(naming: Naming, part: str) -> str:
    return naming.arn("secretsmanager", f"secret:{naming.secret(part)}-{_SUFFIX}")
