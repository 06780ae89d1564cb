"""Pulumi's names of AWS resources as the upstream Terraform provider has them, for the types that are used here."""

from __future__ import annotations

import re
from typing import Any, Final

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""By which Pulumi marks what is no plain value (pulumi.runtime.rpc)."""

# The module of a token -> the beginning of Terraform's name, if that is not the module's own.
_PREFIXES: Final = {"ec2": "", "lb": "lb_", "rds": "db_", "vpc": "vpc_"}
_TYPES: Final = {
    "aws:lb/loadBalancer:LoadBalancer": "aws_lb",
    "aws:cloudwatch/logGroup:LogGroup": "aws_cloudwatch_log_group",
}
_INPUTS: Final = {
    "aws:cloudwatch/metricAlarm:MetricAlarm": {"name": "alarmName"},
    "aws:sns/topicSubscription:TopicSubscription": {"topic": "topicArn"},
}
"""Names that Pulumi chose itself; all others follow from Terraform's."""


def upstream_type(token: str) -> str:
    """Return Terraform's name of a resource type."""
    module, name = token.removeprefix("aws:").split("/")[0], token.rsplit(":", 1)[-1]
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
    return _TYPES.get(token) or f"aws_{_PREFIXES.get(module, f'{module}_')}{snake}"


def upstream_inputs(token: str, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return a resource's inputs, renamed where Pulumi has a name of its own."""
    renamed = _INPUTS.get(token, {})
    return {renamed.get(key, key): _plain(value) for key, value in inputs.items()}


def _plain(value: Any) -> Any:
    """Return a value without the marks of a secret."""
    if isinstance(value, dict):
        return _plain(value["value"]) if _SIGNATURE in value else {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list) else value
