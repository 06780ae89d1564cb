"""Rules on container definitions and IAM documents, run on what mlflow_backend/ecs/render makes of the settings. Pure.

A first preview does not know those of the engine: they are made of ARNs and addresses that AWS has yet to draw. The
functions that render them are the update's own, so here they are given stand-ins for what is not known, in its form,
and what they return is judged. What depends on the stand-ins is said to be not evaluated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import tokens
from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.render import policies as documents_of
from mlflow_backend.aws.render import storage
from mlflow_backend.aws.render.secrets import SecretSource
from mlflow_backend.ecs.render import policies as ecs_documents
from mlflow_backend.ecs.render import tasks
from mlflow_backend.ecs.render.tasks import Reached
from mlflow_backend.policy import containers, iam
from mlflow_backend.report.events import known
from mlflow_backend.report.model import Outcome
from mlflow_backend.report.policies import RenderedEvaluation
from mlflow_backend.report.quantities import TaskSize

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow_backend.report.events import Stream
    from mlflow_backend.settings import Settings

_NO_IMAGE: Final = "image-that-preflight-has-not-resolved"
_SUFFIX: Final = "AbCdEf"  # AWS draws six letters for each secret's ARN.


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What was rendered: container definitions by task, and IAM documents by what they are for."""

    size: TaskSize
    containers: Mapping[str, Sequence[Mapping[str, Any]]]
    documents: Mapping[str, Mapping[str, Any]]
    image_known: bool


def render(settings: Settings, *, project: str, stack: str, image: str | None) -> Parts:
    """Return the parts of an `ecs` stack. `image` is the one that preflight has pinned; None where it has not.

    Raises Refused and ValueError for settings that cannot be rendered.
    """
    naming = Naming(project=project, stack=stack, account=str(settings.aws.account), region=str(settings.aws.region))
    store = storage.store(settings, naming)
    reached = _reached(settings, naming, image or _NO_IMAGE)
    admin = SecretSource(arn=_secret(naming, "rds"), key="") if settings.database.mode == "create" else None
    server = tasks.server_task(settings, naming, reached, store=store)
    database = tasks.database_task(settings, naming, reached, store=store, admin_secret=admin)
    found = {"server task": server, "database task": database}
    if settings.aws.network.internal:
        found["verify task"] = tasks.verify_task(settings, naming, reached)
    return Parts(
        size=TaskSize(cpu=server.cpu, memory=server.memory),
        containers={name: task.container_definitions for name, task in found.items()},
        documents=_documents(settings, naming, reached),
        image_known=image is not None,
    )


def pinned(stream: Stream) -> str | None:
    """Return the image that preflight has pinned in a preview; None where it has not."""
    step = stream.of_type(tokens.PREFLIGHT)
    image = step.inputs.get("pinnedImage") if step else None
    return image if isinstance(image, str) and known(image) else None


def evaluate(parts: Parts) -> tuple[RenderedEvaluation, ...]:
    """Return what the rules say of the rendered parts."""
    return (*_of_containers(parts), *_of_documents(parts))


def _of_containers(parts: Parts) -> Iterator[RenderedEvaluation]:
    for task, definitions in parts.containers.items():
        where = f"{task}, rendered from the settings"
        yield from _judged("no-plain-secrets", where, containers.plain_secrets(definitions))
        if parts.image_known:
            yield from _judged("images-by-digest", where, containers.without_digest(definitions))
        else:
            message = "preflight has not pinned the image yet"
            yield RenderedEvaluation(
                policy="images-by-digest", where=where, outcome=Outcome.NOT_EVALUATED, message=message
            )


def _of_documents(parts: Parts) -> Iterator[RenderedEvaluation]:
    for name, document in parts.documents.items():
        where = f"{name}, rendered from the settings"
        yield from _judged("iam-without-wildcards", where, iam.wildcards(document, key=name == "key policy"))
        if name.endswith("bucket policy"):
            yield from _judged("bucket-private", where, iam.public(document))
            plain = [] if iam.refuses_plain_http(document) else ["it does not deny plain HTTP"]
            yield from _judged("encrypted-in-transit", where, iter(plain))


def _judged(policy: str, where: str, found: Iterator[str]) -> Iterator[RenderedEvaluation]:
    messages = list(found)
    for each in messages:
        yield RenderedEvaluation(policy=policy, where=where, outcome=Outcome.VIOLATED, message=each)
    if not messages:
        yield RenderedEvaluation(policy=policy, where=where, outcome=Outcome.PASSED)


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


def _documents(settings: Settings, naming: Naming, reached: Reached) -> dict[str, Mapping[str, Any]]:
    store = storage.store(settings, naming)
    secrets = [each.arn for each in (reached.server_secret, reached.cache_secret)]
    key = naming.arn("kms", "key/drawn-by-aws")
    execution = {
        part: ecs_documents.execution(
            naming,
            secrets=secrets,
            keys=[key],
            log_group=naming.log_group_arn(part),
            repository_arn=naming.arn("ecr", f"repository/{naming.repository()}"),
        )
        for part in (tasks.SERVER, tasks.TASKS)
    }
    found: dict[str, Mapping[str, Any]] = {
        "server role": documents_of.server(naming, store, keys_secret=reached.keys_secret or None, key_arn=key),
        "tasks role": documents_of.database_tasks(naming, store),
        "verify role": documents_of.verify_task(naming, store),
        "server execution role": execution[tasks.SERVER],
        "tasks execution role": execution[tasks.TASKS],
        "key policy": documents_of.key(naming, log_group_arns=[naming.log_group_arn(tasks.SERVER)]),
    }
    if settings.aws.monitoring.topic is None:
        found["alarm topic policy"] = documents_of.topic(naming, topic_arn=naming.arn("sns", naming.topic()))
    if settings.artifacts.mode == "create":
        found["data bucket policy"] = documents_of.data_bucket(naming, store, server_role_arn=reached.task_role_arn)
    if storage.keeps_logs(settings):
        found["logs bucket policy"] = documents_of.logs_bucket(
            naming, bucket=naming.bucket("logs"), data_bucket_arn=None
        )
    return found


def _secret(naming: Naming, part: str) -> str:
    return naming.arn("secretsmanager", f"secret:{naming.secret(part)}-{_SUFFIX}")
