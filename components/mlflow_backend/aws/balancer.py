"""The load balancer as one component. Owns the wiring; times and listeners are decided in `render.balancer`."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.render import balancer as render
from mlflow_backend.aws.render.network import SERVER_PORT
from mlflow_backend.tokens import AWS_BALANCER

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.network import Network
    from mlflow_backend.aws.render.balancer import Listeners, Timeouts
    from mlflow_backend.aws.scope import Scope
    from mlflow_backend.settings import Settings

_LIVENESS = "/health"


class Balancer(pulumi.ComponentResource):
    """Where users call.

    Attributes: `url`, `target_group`, `load_balancer`, and `listener`, which a service must wait for: ECS refuses a
    target group that no balancer has.
    """

    def __init__(  # noqa: PLR0913 - each input from the network, by name
        self,
        name: str,
        scope: Scope,
        *,
        network: Network,
        times: Timeouts,
        logs_bucket: pulumi.Output[str] | None,
        certificate: pulumi.Input[str] | None = None,
        hosted_zone: pulumi.Input[str] | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take its network, and every time that follows from the longest request."""
        super().__init__(AWS_BALANCER, name, None, opts)
        settings, naming = scope.settings, scope.naming
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        listeners = render.listeners(settings)
        if listeners.warning is not None:
            pulumi.log.warn(listeners.warning, resource=self)
        logged = settings.aws.network.access_logs and logs_bucket is not None
        self.load_balancer = aws.lb.LoadBalancer(
            f"{name}-balancer",
            name=naming.balancer(),
            load_balancer_type="application",
            internal=settings.aws.network.internal,
            subnets=network.balancer_subnets,
            security_groups=[network.groups["balancer"]],
            idle_timeout=times.idle,
            drop_invalid_header_fields=True,
            access_logs={"bucket": logs_bucket, "prefix": "balancer", "enabled": True}
            if logged and logs_bucket is not None
            else None,
            opts=self._child,
        )
        self.target_group = self._targets(naming, network, times)
        self.listener = self._listen(listeners, certificate)
        self._record(settings, hosted_zone)
        self.url = self.load_balancer.dns_name.apply(lambda host: render.public_url(settings, host))
        self.register_outputs({"url": self.url})

    def _targets(self, naming: Naming, network: Network, times: Timeouts) -> aws.lb.TargetGroup:
        return aws.lb.TargetGroup(
            f"{self._name}-targets",
            name=naming.targets(),
            port=SERVER_PORT,
            protocol="HTTP",
            target_type="ip",
            vpc_id=network.vpc_id,
            deregistration_delay=times.deregistration,
            # A task that just started gets no more than its neighbours: MLflow's first requests fill its caches.
            load_balancing_algorithm_type="least_outstanding_requests",
            health_check={
                "path": _LIVENESS,
                "matcher": "200",
                "interval": render.CHECK_INTERVAL_S,
                "timeout": render.CHECK_TIMEOUT_S,
                "healthy_threshold": render.HEALTHY_AFTER,
                "unhealthy_threshold": render.UNHEALTHY_AFTER,
            },
            opts=self._child,
        )

    def _listen(self, listeners: Listeners, certificate: pulumi.Input[str] | None) -> aws.lb.Listener:
        secure = listeners.certificate is not None
        listener = aws.lb.Listener(
            f"{self._name}-{listeners.scheme}",
            load_balancer_arn=self.load_balancer.arn,
            port=listeners.port,
            protocol=listeners.scheme.upper(),
            ssl_policy=render.TLS_POLICY if secure else None,
            certificate_arn=certificate,
            default_actions=[{"type": "forward", "target_group_arn": self.target_group.arn}],
            opts=self._child,
        )
        if listeners.redirect_port is not None:
            aws.lb.Listener(
                f"{self._name}-redirect",
                load_balancer_arn=self.load_balancer.arn,
                port=listeners.redirect_port,
                protocol="HTTP",
                default_actions=[
                    {
                        "type": "redirect",
                        "redirect": {"protocol": "HTTPS", "port": str(listeners.port), "status_code": "HTTP_301"},
                    }
                ],
                opts=self._child,
            )
        return listener

    def _record(self, settings: Settings, zone: pulumi.Input[str] | None) -> None:
        url = settings.network.public_url
        if zone is None or url is None:
            return
        aws.route53.Record(
            f"{self._name}-record",
            zone_id=zone,
            name=str(urlsplit(url).hostname),
            type="A",
            aliases=[
                {
                    "name": self.load_balancer.dns_name,
                    "zone_id": self.load_balancer.zone_id,
                    "evaluate_target_health": False,
                }
            ],
            opts=self._child,
        )
