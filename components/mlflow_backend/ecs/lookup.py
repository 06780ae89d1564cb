"""A deployed backend's locator, for a command that has the stack's settings and no Pulumi state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.aws.render import balancer, storage
from mlflow_backend.contract import not_deployed
from mlflow_backend.ecs.locator import EcsLocator, locator_of
from mlflow_backend.ecs.oneshot import Network

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings


def locate(settings: Settings, naming: Naming, connection: Connection) -> EcsLocator:
    """Return the locator of a stack that is deployed. Raises Refused if it is not."""
    ecs, ec2, elbv2, secrets = map(connection.client, ("ecs", "ec2", "elbv2", "secretsmanager"))
    services = _asked(ecs.describe_services, naming, cluster=naming.cluster(), services=[naming.service()])["services"]
    if not services:
        raise not_deployed(naming.stack, naming.region, "there is no service")
    network = services[0]["networkConfiguration"]["awsvpcConfiguration"]
    name = naming.security_group("tasks")
    filters = [{"Name": "group-name", "Values": [name]}]
    groups = _asked(ec2.describe_security_groups, naming, Filters=filters)["SecurityGroups"]
    if not groups:
        raise not_deployed(naming.stack, naming.region, f"there is no security group {name}")
    balancers = _asked(elbv2.describe_load_balancers, naming, Names=[naming.balancer()])["LoadBalancers"]
    return locator_of(
        settings,
        naming,
        connection,
        store=storage.store(settings, naming),
        network=replace(Network.of(network), security_groups=(str(groups[0]["GroupId"]),)),
        url=balancer.public_url(settings, balancers[0]["DNSName"]),
        secret=_asked(secrets.describe_secret, naming, SecretId=naming.secret("server"))["ARN"],
    )


def _asked(operation: Callable[..., Any], naming: Naming, **arguments: Any) -> Any:
    answer = asked(operation, **arguments)
    if isinstance(answer, Unanswered):
        raise not_deployed(naming.stack, naming.region, answer.of("AWS")) from None
    return answer
