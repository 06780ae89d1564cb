"""Alert policies and their channel as one component. Owns the wiring; `render.alerts` decides what is watched."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_gcp as gcp

from mlflow_backend.gcp.render import alerts
from mlflow_backend.gcp.scope import arguments as named
from mlflow_backend.tokens import GCP_MONITORING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.gcp.render.alerts import Alert
    from mlflow_backend.gcp.scope import Scope


class Monitoring(pulumi.ComponentResource):
    """What wakes somebody. Attribute: `policies`, by the names of the alerts."""

    def __init__(
        self, name: str, scope: Scope, *, watched: Sequence[Alert], opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Take what is watched."""
        super().__init__(GCP_MONITORING, name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        channels: list[pulumi.Input[str]] = []
        existing, made = scope.settings.gcp.monitoring.channel, alerts.channel(scope.settings, scope.naming)
        if existing is not None:
            channels.append(existing)
        if made is not None:
            channels.append(gcp.monitoring.NotificationChannel(f"{name}-email", **named(made), opts=child).name)
        self.policies = {}
        for alert in watched:
            body = named(alerts.policy(alert, scope.settings, scope.naming, channels=[]))
            self.policies[alert.name] = gcp.monitoring.AlertPolicy(
                f"{name}-{alert.name}", **{**body, "notification_channels": channels}, opts=child
            )
        self.register_outputs({})
