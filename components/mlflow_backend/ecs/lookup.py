"""A deployed backend's locator, for a command that has the stack's settings and no Pulumi state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.aws.clients import config
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.locator import Reach, locator
from mlflow_backend.ecs.oneshot import Network
from mlflow_backend.ecs.render import balancer, storage
from mlflow_backend.ecs.render.database import own_instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.ecs.render.place import Place
    from mlflow_backend.settings import Settings


def locate(settings: Settings, place: Place) -> dict[str, str]:
    """Return the locator of a stack that is deployed. Raises Refused where it is not."""
    import boto3  # noqa: PLC0415 - as mlflow_backend.aws.clients

    session, asking = boto3.session.Session(), config(place.region)
    ecs = session.client("ecs", config=asking)
    services = _asked(ecs.describe_services, place, cluster=place.cluster(), services=[place.service()])["services"]
    if not services:
        raise _not_deployed(place, "there is no service")
    lies = services[0]["networkConfiguration"]["awsvpcConfiguration"]
    name = place.security_group("tasks")
    groups = _asked(
        session.client("ec2", config=asking).describe_security_groups,
        place,
        Filters=[{"Name": "group-name", "Values": [name]}],
    )["SecurityGroups"]
    if not groups:
        raise _not_deployed(place, f"there is no security group {name}")
    balancers = _asked(session.client("elbv2", config=asking).describe_load_balancers, place, Names=[place.balancer()])[
        "LoadBalancers"
    ]
    secret = ""
    if settings.access.mode != "none":
        secrets = session.client("secretsmanager", config=asking)
        secret = _asked(secrets.describe_secret, place, SecretId=place.secret("server"))["ARN"]
    return locator(
        place,
        store=storage.store(settings, place),
        network=Network(
            subnets=tuple(lies["subnets"]),
            security_groups=(str(groups[0]["GroupId"]),),
            public_address=lies.get("assignPublicIp") == "ENABLED",
        ),
        reach=Reach(
            url=balancer.public_url(settings, balancers[0]["DNSName"]),
            secret=secret,
            access=settings.access.mode,
            inside=settings.aws.network.internal,
        ),
        database=own_instance(settings, place),
    )


def _asked(operation: Callable[..., Any], place: Place, **arguments: Any) -> Any:
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as mlflow_backend.aws.clients

    try:
        return operation(**arguments)
    except ClientError as error:
        raise _not_deployed(place, f"AWS answered {error.response.get('Error', {}).get('Code', 'nothing')}") from None
    except BotoCoreError as error:
        raise _not_deployed(place, f"AWS cannot be asked ({type(error).__name__})") from None


def _not_deployed(place: Place, finding: str) -> Refused:
    return Refused(
        f"The backend of the stack {place.stack} is not found in {place.region}: {finding}.",
        code="backend-not-found",
        fix="Log in to its account, and deploy it first with `pulumi up`.",
    )
