"""What the roles of the backend's tasks may do, by part: `server`, `tasks` and `verify`, each with its `-execution`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.aws.render import policies as aws_policies
from mlflow_backend.ecs.render import policies

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.render.policies import Document, Store
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Reads:
    """The secrets that tasks name, by ARN: the server's own, the database role's, the cache's, the instance's admin's.

    `api_keys`, the hashes of API keys, is read by the server itself; None where access is not by keys.
    """

    server: pulumi.Input[str]
    database: pulumi.Input[str]
    cache: pulumi.Input[str]
    admin: pulumi.Input[str] | None
    api_keys: pulumi.Input[str] | None
    key: pulumi.Input[str]


def documents(
    settings: Settings, naming: Naming, *, store: pulumi.Output[Store], reads: Reads
) -> dict[str, pulumi.Output[Document]]:
    """Return each role's document; those of `verify` only if verification runs in a task."""
    repository = policies.repository_arn(settings, naming)

    def execution(log_part: str) -> Callable[[list[Any]], Document]:
        return lambda found: policies.execution(
            naming,
            secrets=found[1:],
            keys=found[:1],
            log_group=naming.log_group_arn(log_part),
            repository_arn=repository,
        )

    admin = [] if reads.admin is None else [reads.admin]
    login = [] if settings.aws.registry_secret is None else [settings.aws.registry_secret]
    server_reads = pulumi.Output.all(reads.key, reads.server, reads.database, reads.cache, *login)
    tasks_reads = pulumi.Output.all(reads.key, reads.server, reads.database, *admin, *login)
    found = {
        "server-execution": server_reads.apply(execution("server")),
        "tasks-execution": tasks_reads.apply(execution("tasks")),
        "server": pulumi.Output.all(store, reads.api_keys, reads.key).apply(
            lambda given: aws_policies.server(naming, given[0], keys_secret=given[1], key_arn=given[2])
        ),
        "tasks": store.apply(lambda bucket: aws_policies.database_tasks(naming, bucket)),
    }
    if settings.aws.network.internal:
        verify_reads = pulumi.Output.all(reads.key, reads.server, *login)
        found["verify-execution"] = verify_reads.apply(execution("tasks"))
        found["verify"] = store.apply(lambda bucket: aws_policies.verify_task(naming, bucket))
    return found
