"""A task definition judged by cfn-lint, and by own rules for what cfn-lint was measured to miss (docs/facts)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cfnlint.api import lint_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Their keys are data, not property names.
_DATA = ("Options", "DockerLabels")
# 'No deletion policy' is about templates, which this is not.
_IGNORED = ("I4010", "I3011")

# ECS API reference: ContainerDefinition.stopTimeout on Fargate, HealthCheck.
_LONGEST_STOP_S = 120
_HEALTH_BOUNDS = {"interval": (5, 300), "timeout": (2, 120), "retries": (1, 10), "startPeriod": (0, 300)}


def findings(*requests: dict[str, Any]) -> list[str]:
    """Return everything that is wrong with RegisterTaskDefinition requests; many at once cost little more than one."""
    own = [finding for request in requests for rule in OWN_RULES for finding in rule(request)]
    return [*_cfn_lint(requests), *own]


def _cfn_lint(requests: tuple[dict[str, Any], ...]) -> list[str]:
    template = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Resources": {
            f"Task{number}": {"Type": "AWS::ECS::TaskDefinition", "Properties": _pascal(request)}
            for number, request in enumerate(requests)
        },
    }
    found = lint_all(json.dumps(template))
    return [f"{match.rule.id} {match.message}" for match in found if match.rule.id not in _IGNORED]


def _pascal(value: Any) -> Any:
    if isinstance(value, list):
        return [_pascal(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for key, item in value.items():
        name = key[0].upper() + key[1:]
        found[name] = item if name in _DATA else _pascal(item)
    return found


def secrets_need_an_execution_role(request: dict[str, Any]) -> Iterator[str]:
    """Secrets are read by the execution role, before the container starts."""
    if any(each.get("secrets") for each in request["containerDefinitions"]) and not request.get("executionRoleArn"):
        yield "OWN secrets without executionRoleArn"


def health_within_bounds(request: dict[str, Any]) -> Iterator[str]:
    """ECS refuses a health check outside these bounds."""
    for each in request["containerDefinitions"]:
        for key, (least, most) in _HEALTH_BOUNDS.items():
            value = each.get("healthCheck", {}).get(key)
            if value is not None and not least <= value <= most:
                yield f"OWN healthCheck.{key} is {value}, outside {least} to {most}"


def stop_within_bounds(request: dict[str, Any]) -> Iterator[str]:
    """Fargate kills after 120 s at the latest."""
    for each in request["containerDefinitions"]:
        if each.get("stopTimeout", 0) > _LONGEST_STOP_S:
            yield f"OWN stopTimeout is {each['stopTimeout']}, Fargate allows {_LONGEST_STOP_S}"


def one_place_a_name(request: dict[str, Any]) -> Iterator[str]:
    """A name in both environment and secrets is refused by ECS."""
    for each in request["containerDefinitions"]:
        twice = {e["name"] for e in each.get("environment", [])} & {s["name"] for s in each.get("secrets", [])}
        if twice:
            yield f"OWN in environment and secrets: {', '.join(sorted(twice))}"


def mounts_are_declared(request: dict[str, Any]) -> Iterator[str]:
    """A mount point names a volume of the task."""
    declared = {volume["name"] for volume in request.get("volumes", [])}
    for each in request["containerDefinitions"]:
        for mount in each.get("mountPoints", []):
            if mount["sourceVolume"] not in declared:
                yield f"OWN mountPoint of undeclared volume {mount['sourceVolume']}"


OWN_RULES: tuple[Callable[[dict[str, Any]], Iterator[str]], ...] = (
    secrets_need_an_execution_role,
    health_within_bounds,
    stop_within_bounds,
    one_place_a_name,
    mounts_are_declared,
)
