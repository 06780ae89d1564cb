"""The load balancer: its listeners, its target check, and every time that follows from the longest request. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.network import ADDRESS, HTTP_PORT, HTTPS_PORT
from mlflow_backend.report.quantities import HOUR, Billing, Inputs, Quantity, length

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.settings import Settings

# TLS 1.3 and 1.2 with forward secrecy; AWS's own recommendation for new listeners.
TLS_POLICY: Final = "ELBSecurityPolicy-TLS13-1-2-2021-06"

# Limits of the services (Elastic Load Balancing and ECS API references).
LONGEST_IDLE_S: Final = 4000
LONGEST_DEREGISTRATION_S: Final = 3600
LONGEST_FARGATE_STOP_S: Final = 120

# MLflow was measured to serve after 5 to 22 s, and to give up on an unreachable database after 108 s
# (docs/facts.md, B); for the whole of that a task's health must not count.
GRACE_S: Final = 240

# Without any request under way: three starts of a task, and what ECS and the provider need besides (20 minutes are the
# provider's own limit of a service's deletion).
_ROLLOUT_S: Final = 1800
_REMOVAL_S: Final = 1200

# A target is in after 2 good answers and out after 3 bad ones: in quickly after a deployment, not out for a hiccup.
CHECK_INTERVAL_S: Final = 10
CHECK_TIMEOUT_S: Final = 5
HEALTHY_AFTER: Final = 2
UNHEALTHY_AFTER: Final = 3


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds, each derived from the longest request.

    `idle`: the balancer closes a silent connection. `deregistration`: requests under way on a task that is being
    replaced may end; ECS sends SIGTERM after it. `grace`: a new task's health does not count yet.
    """

    idle: int
    deregistration: int
    grace: int


@dataclass(frozen=True, kw_only=True)
class Listeners:
    """How the balancer is called. `redirect_port` answers with the HTTPS address; the update shows `warning`."""

    scheme: str
    port: int
    certificate: str | None
    redirect_port: int | None
    warning: str | None


def timeouts(request_timeout_s: int) -> Timeouts:
    """Return the times of a server whose longest request takes `request_timeout_s` seconds.

    The server's keep-alive is longer than `idle` (mlflow_backend/server): the balancer is always the one that closes.
    """
    return Timeouts(
        idle=min(request_timeout_s, LONGEST_IDLE_S),
        deregistration=min(request_timeout_s, LONGEST_DEREGISTRATION_S),
        grace=GRACE_S,
    )


def rollout_deadline(request_timeout_s: int) -> int:
    """Return the seconds in which a rolling deployment of such a server has ended, well or not.

    ECS tries a broken revision three times, each with its start; it calls a deployment complete when the old tasks are
    gone, after their requests have ended, and after the alarms' time as long again.
    """
    return _ROLLOUT_S + 2 * timeouts(request_timeout_s).deregistration


def removal_deadline(request_timeout_s: int) -> int:
    """Return the seconds in which a service is deleted: the provider waits for its tasks, which end as above."""
    return _REMOVAL_S + 2 * timeouts(request_timeout_s).deregistration


def stop_timeout(server_stop_s: int) -> int:
    """Return the seconds from SIGTERM to SIGKILL of a server that wants `server_stop_s` of them.

    Fargate bounds it; a longer request has ended before, while the task was being deregistered.
    """
    return min(server_stop_s, LONGEST_FARGATE_STOP_S)


def listeners(settings: Settings) -> Listeners:
    """Return how the balancer is called."""
    certificate = settings.aws.network.certificate
    if certificate is not None:
        return Listeners(
            scheme="https", port=HTTPS_PORT, certificate=certificate, redirect_port=HTTP_PORT, warning=None
        )
    warning = (
        "This backend's load balancer speaks plain HTTP: users, passwords and artifacts cross the network unencrypted. "
        "It is internal, and plain HTTP is allowed for internal balancers only. Set aws.network.certificate to end it."
    )
    return Listeners(scheme="http", port=HTTP_PORT, certificate=None, redirect_port=None, warning=warning)


def public_url(settings: Settings, balancer_host: str) -> str:
    """Return the URL that users call: the one that settings name, else the balancer's own host name."""
    root = settings.network.public_url or f"{listeners(settings).scheme}://{balancer_host.lower()}"
    return f"{root}{settings.network.path_prefix}"


def _billed(inputs: Inputs) -> Iterator[Quantity]:
    yield Quantity("load-balancer", "Application load balancer", "balancer", HOUR, 1)
    if inputs.get("internal") is not True:
        # One in each zone at least; ELB adds more as it grows.
        yield Quantity(*ADDRESS, length(inputs.get("subnets")))


BILLING: Final[Mapping[str, Billing]] = {
    "aws:lb/loadBalancer:LoadBalancer": Billing(counted=_billed, by_use=("the balancer's capacity units (LCU)",)),
    "aws:route53/record:Record": Billing(by_use=("DNS queries",)),
}
