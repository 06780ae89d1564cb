"""Alarms, their topic and the dashboard as one component. Owns the wiring; `render.alarms` decides what is watched."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.render import alarms as render
from mlflow_backend.aws.render import policies
from mlflow_backend.tokens import AWS_MONITORING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.aws.render.alarms import Alarm, Counted, Dimension
    from mlflow_backend.aws.scope import Scope


class Monitoring(pulumi.ComponentResource):
    """What wakes somebody.

    Attributes: `topic`, `dashboard_url`, `alarms` by name, and `guards`, the names of the alarms that fail a deployment
    which sets them off.
    """

    def __init__(  # noqa: PLR0913 - what is watched, by name
        self,
        name: str,
        scope: Scope,
        *,
        watched: Sequence[Alarm],
        identifiers: Mapping[Dimension, pulumi.Input[str]],
        logs: Mapping[str, aws.cloudwatch.LogGroup] | None = None,
        key_arn: pulumi.Input[str],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take what is watched, and the identifiers that CloudWatch knows the parts by.

        `logs` are those whose lines are counted, by the part that writes them (naming.LOG_GROUPS).
        """
        super().__init__(AWS_MONITORING, name, None, opts)
        settings, naming = scope.settings, scope.naming
        self._name, self._settings, self._naming = name, settings, naming
        self._child = pulumi.ResourceOptions(parent=self)
        self.topic = self._make_topic(key_arn)
        own = {alarm.metric for alarm in watched}
        for what, counted in render.COUNTED.items():
            if logs is not None and counted.metric in own:
                self._count(what, counted, logs[counted.logs])
        self.alarms = {alarm.name: self._alarm(alarm, identifiers) for alarm in watched}
        self.guards = [self.alarms[alarm.name].name for alarm in watched if alarm.guards]
        body = pulumi.Output.all(**dict(identifiers)).apply(
            lambda found: json.dumps(
                render.dashboard(region=naming.region, identifiers=found, found=tuple(watched)), sort_keys=True
            )
        )
        aws.cloudwatch.Dashboard(
            f"{name}-dashboard", dashboard_name=naming.dashboard(), dashboard_body=body, opts=self._child
        )
        console = "console.amazonaws.cn" if naming.partition == "aws-cn" else "console.aws.amazon.com"
        self.dashboard_url = f"https://{naming.region}.{console}/cloudwatch/home?region={naming.region}#dashboards:name={naming.dashboard()}"
        self.register_outputs({"topic": self.topic, "dashboardUrl": self.dashboard_url})

    def _make_topic(self, key_arn: pulumi.Input[str]) -> pulumi.Output[str]:
        wanted = self._settings.aws.monitoring
        if wanted.topic is not None:
            return pulumi.Output.from_input(wanted.topic)
        topic = aws.sns.Topic(
            f"{self._name}-topic", name=self._naming.topic(), kms_master_key_id=key_arn, opts=self._child
        )
        naming = self._naming
        aws.sns.TopicPolicy(
            f"{self._name}-topic",
            arn=topic.arn,
            policy=topic.arn.apply(lambda arn: policies.text(policies.topic(naming, topic_arn=arn))),
            opts=self._child,
        )
        if wanted.email is not None:
            aws.sns.TopicSubscription(
                f"{self._name}-email", topic=topic.arn, protocol="email", endpoint=wanted.email, opts=self._child
            )
        return topic.arn

    def _count(self, what: str, counted: Counted, logs: aws.cloudwatch.LogGroup) -> None:
        aws.cloudwatch.LogMetricFilter(
            f"{self._name}-{what}",
            name=self._naming.alarm(what),
            log_group_name=logs.name,
            pattern=counted.pattern,
            metric_transformation={
                "name": counted.metric,
                "namespace": render.namespace(self._naming.cluster()),
                "value": "1",
            },
            opts=self._child,
        )

    def _alarm(self, alarm: Alarm, identifiers: Mapping[Dimension, pulumi.Input[str]]) -> aws.cloudwatch.MetricAlarm:
        return aws.cloudwatch.MetricAlarm(
            f"{self._name}-{alarm.name}",
            name=self._naming.alarm(alarm.name),
            alarm_description=alarm.says,
            namespace=alarm.namespace,
            metric_name=alarm.metric,
            dimensions={name: identifiers[part] for name, part in alarm.dimensions.items()},
            statistic=None if alarm.percentile else alarm.statistic,
            extended_statistic=alarm.percentile,
            comparison_operator=alarm.comparison,
            threshold=alarm.threshold,
            period=alarm.period_s,
            evaluation_periods=alarm.periods,
            treat_missing_data=alarm.missing,
            alarm_actions=[self.topic],
            ok_actions=[self.topic],
            opts=self._child,
        )
