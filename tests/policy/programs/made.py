"""Resources by their type token, without the SDK of a cloud: what a policy sees is the same."""

from __future__ import annotations

import json
from typing import Any

import pulumi

TASK = "aws:ecs/taskDefinition:TaskDefinition"
DIGEST = f"registry.example.com/mlflow@sha256:{'a' * 64}"
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


class Made(pulumi.CustomResource):
    """One resource; `arn` is known only after an update."""

    arn: pulumi.Output[str]

    def __init__(self, token: str, made: str, opts: pulumi.ResourceOptions | None = None, /, **inputs: Any) -> None:
        """Register a resource of any type."""
        super().__init__(token, made, {"arn": None, **inputs}, opts)


def policy(*statements: dict[str, Any]) -> str:
    """Return an IAM document."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def containers(**changes: Any) -> str:
    """Return container definitions of one container."""
    return json.dumps([{"name": "server", "image": DIGEST, "environment": [], **changes}])
