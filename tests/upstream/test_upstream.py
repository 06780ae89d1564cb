"""What the weekly run with the upstream provider is made of: names, and the trimming of the provider's source."""

from __future__ import annotations

from typing import Any

import pytest

from tests.upstream import __main__ as command
from tests.upstream import build
from tests.upstream.mapping import upstream_inputs, upstream_type

SECRET = "1b47061264138c4ac30d75fd1eb44270"

PACKAGES = """import (
\t"context"

\t"github.com/hashicorp/terraform-provider-aws/internal/conns"
\t"github.com/hashicorp/terraform-provider-aws/internal/service/acm"
\t"github.com/hashicorp/terraform-provider-aws/internal/service/lambda"
)

func servicePackages(ctx context.Context) []conns.ServicePackage {
\tv := []conns.ServicePackage{
\t\tacm.ServicePackage(ctx),
\t\tlambda.ServicePackage(ctx),
\t}
"""
CLIENTS = """import (
\t"context"

\t"github.com/aws/aws-sdk-go-v2/service/acm"
\tother "github.com/aws/aws-sdk-go-v2/service/lambda"
)

func (c *AWSClient) ACMClient(ctx context.Context) *acm.Client {
\treturn acm.New()
}

func (c *AWSClient) LambdaClient(ctx context.Context) *other.Client {
\treturn other.New()
}
"""


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("aws:ec2/vpc:Vpc", "aws_vpc"),
        ("aws:ec2/defaultSecurityGroup:DefaultSecurityGroup", "aws_default_security_group"),
        ("aws:lb/loadBalancer:LoadBalancer", "aws_lb"),
        ("aws:lb/targetGroup:TargetGroup", "aws_lb_target_group"),
        ("aws:rds/instance:Instance", "aws_db_instance"),
        ("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "aws_vpc_security_group_ingress_rule"),
        ("aws:s3/bucketPublicAccessBlock:BucketPublicAccessBlock", "aws_s3_bucket_public_access_block"),
        ("aws:cloudwatch/logGroup:LogGroup", "aws_cloudwatch_log_group"),
    ],
)
def test_a_type_has_the_upstream_providers_name(token: str, name: str) -> None:
    """A wrong one would be reported as a resource that the provider does not have."""
    assert upstream_type(token) == name


def test_inputs_are_renamed_and_plain() -> None:
    """Names of Pulumi's own choice, and what it marks as secret at any depth."""
    mark = {"4dabf18193072939515e22adb298388d": SECRET, "value": "x"}
    inputs = {"name": "alarm", "list": [{"inner": mark}]}
    assert upstream_inputs("aws:cloudwatch/metricAlarm:MetricAlarm", inputs) == {
        "alarmName": "alarm",
        "list": [{"inner": "x"}],
    }


def test_only_the_services_that_are_used_are_compiled() -> None:
    """All of them take hours; a client that nothing calls takes its service's SDK with it."""
    packages = build.trimmed_packages(PACKAGES, ["acm"])
    assert "lambda" not in packages
    assert packages.count("acm") == 2
    assert "internal/conns" in packages
    clients = build.trimmed_clients(CLIENTS, {"ACMClient"})
    assert "ambda" not in clients
    assert "acm.New()" in clients
    assert '"context"' in clients


def found(*kinds: str) -> list[dict[str, str]]:
    """Return what the provider says of the controls."""
    return [{"name": kind, "type": "aws_x", "kind": kind, "said": "so"} for kind in kinds]


ALL = ("unused", "error", "replacement")
WRONG = {"name": "dev/bucket", "type": "aws_s3_bucket", "kind": "unused", "said": "dev/bucket.nmae"}


@pytest.mark.parametrize(
    ("findings", "code"),
    [(found(*ALL), 0), ([*found(*ALL), WRONG], 1), (found("unused", "error"), 1), (found(), 1)],
    ids=["all right", "a finding", "a control missed", "nothing found at all"],
)
def test_the_run_is_red_for_a_finding_and_for_a_control_that_is_missed(
    monkeypatch: pytest.MonkeyPatch, findings: list[dict[str, str]], code: int
) -> None:
    """A judge that finds nothing whatever it is given would be green for ever."""
    given: list[Any] = []

    def judged(resources: list[dict[str, Any]]) -> list[dict[str, str]]:
        given.extend(resources)
        return findings

    monkeypatch.setattr(command, "asked", lambda: [{"name": "dev/bucket"}])
    monkeypatch.setattr(command, "judged", judged)
    assert command.main() == code
    assert {each["name"] for each in given} == {"dev/bucket", *ALL}
