"""From what AWS answered to what `render` takes: the outputs of the parts, gathered and handed on as plain values.

Owns no resource. Each function waits for the outputs it names and calls a pure one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.aws.render import network as network_render
from mlflow_backend.aws.render.cache import cache_plan
from mlflow_backend.aws.render.database import own_instance
from mlflow_backend.aws.render.secrets import DATABASE_PASSWORD, IN_FORCE, SecretSource
from mlflow_backend.ecs.locator import EcsLocator, locator_of
from mlflow_backend.ecs.oneshot import Network as TaskNetwork
from mlflow_backend.ecs.render import tasks
from mlflow_backend.ecs.render.tasks import Reached

if TYPE_CHECKING:
    from mlflow_backend.aws.cache import Cache
    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.aws.database import Database
    from mlflow_backend.aws.identity import Identity
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.network import Network
    from mlflow_backend.aws.provider import ApiKeys, ServerSecrets
    from mlflow_backend.aws.render.policies import Store
    from mlflow_backend.settings import Settings


def reached(  # noqa: PLR0913 - the parts of a backend, by name
    *,
    image: pulumi.Output[str],
    url: pulumi.Output[str],
    database: Database,
    cache: Cache,
    secrets: ServerSecrets,
    identity: Identity,
    keys: ApiKeys | None,
    existing_secret: pulumi.Input[str] | None,
) -> pulumi.Output[Reached]:
    """Return what the server's task definition is rendered from."""
    database_port, cache_port = database.port, cache.port

    def gathered(found: dict[str, Any]) -> Reached:
        server = SecretSource(arn=found["server"], key="", version=found["version"], stage=IN_FORCE)
        own = replace(server, key=DATABASE_PASSWORD)
        return Reached(
            image=found["image"],
            public_url=found["url"],
            database_host=found["database"],
            database_port=database_port,
            cache_host=found["cache"],
            cache_port=cache_port,
            database_secret=own if found["existing"] is None else SecretSource(arn=found["existing"], key="password"),
            server_secret=server,
            cache_secret=found["cache_secret"],
            execution_role_arn=found["execution"],
            task_role_arn=found["role"],
            keys_secret=found["keys"],
        )

    return pulumi.Output.all(
        image=image,
        url=url,
        database=database.host,
        cache=cache.host,
        cache_secret=cache.secret,
        server=secrets.arn,
        version=secrets.version,
        execution=identity.roles["server-execution"].arn,
        role=identity.roles["server"].arn,
        keys=keys.arn if keys else "",
        existing=existing_secret,
    ).apply(gathered)


def database_task(  # noqa: PLR0913 - the parts of a backend, by name
    settings: Settings,
    naming: Naming,
    base: pulumi.Output[Reached],
    *,
    store: pulumi.Output[Store],
    database: Database,
    identity: Identity,
) -> pulumi.Output[tasks.TaskDefinition]:
    """Return the one-shot task's definition: the server's, under roles of its own."""

    def task(found: list[Any]) -> tasks.TaskDefinition:
        server, bucket, admin, execution, role = found
        own = replace(server, execution_role_arn=execution, task_role_arn=role)
        secret = SecretSource(arn=admin, key="") if admin else None
        return tasks.database_task(settings, naming, own, store=bucket, admin_secret=secret)

    return pulumi.Output.all(
        base, store, database.admin_secret, identity.roles["tasks-execution"].arn, identity.roles["tasks"].arn
    ).apply(task)


def verify_task(
    settings: Settings, naming: Naming, base: pulumi.Output[Reached], identity: Identity
) -> pulumi.Output[tasks.TaskDefinition]:
    """Return the definition of the one-shot task that verifies, under roles of its own."""
    roles = identity.roles
    return pulumi.Output.all(base, roles["verify-execution"].arn, roles["verify"].arn).apply(
        lambda found: tasks.verify_task(
            settings, naming, replace(found[0], execution_role_arn=found[1], task_role_arn=found[2])
        )
    )


def locator(  # noqa: PLR0913 - the parts of a backend, by name
    settings: Settings,
    naming: Naming,
    *,
    store: pulumi.Output[Store],
    network: Network,
    url: pulumi.Output[str],
    secrets: ServerSecrets,
    connection: Connection,
) -> pulumi.Output[EcsLocator]:
    """Return the backend's locator; unknown only until its network and its balancer are there."""
    public = network.tasks_are_public

    def gathered(outputs: list[Any]) -> EcsLocator:
        bucket, group, address, secret, *subnets = outputs
        lies = TaskNetwork(subnets=tuple(subnets), security_groups=(group,), public_address=public)
        found = locator_of(
            naming,
            store=bucket,
            network=lies,
            url=address,
            secret=secret,
            access=settings.access.mode,
            inside=settings.aws.network.internal,
            database=own_instance(settings, naming),
        )
        return replace(found, profile=connection.profile, role=connection.role)

    return pulumi.Output.all(store, network.groups["tasks"], url, secrets.arn, *network.task_subnets).apply(gathered)


def decided(settings: Settings, naming: Naming) -> list[str]:
    """Return the identity of what serving depends on and no output tells: network rules, cache, release."""
    rules = [str(rule) for rule in network_render.rules(settings)]
    cache = str(cache_plan(settings)) if settings.cache.mode == "create" else str(settings.cache.existing)
    return [*rules, cache, tasks.release_identity(settings, naming)]


def serving_digest(*identities: pulumi.Input[Any]) -> pulumi.Output[str]:
    """Return a digest over the identity of everything that serving depends on: one permission less is another."""
    return pulumi.Output.all(*identities).apply(
        lambda found: hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    )
