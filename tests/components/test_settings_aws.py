"""The settings that only AWS asks for: what is accepted, what is refused, and where they may stand."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlflow_backend.settings import Settings, SettingsError, load


def loaded(target: str = "ecs", **aws: Any) -> Settings:
    """Load a stack with this `aws` section."""
    sections = {"aws": json.dumps(aws), "access": json.dumps({"mode": "none" if target == "local" else "basic"})}
    return load({"target": target, **sections})


def test_every_default_is_the_careful_one() -> None:
    """Left out, the section means a private database, logs that are kept, and a created everything."""
    aws = loaded().aws
    assert (aws.account, aws.region, aws.permissions_boundary) == (None, None, None)
    assert (aws.network.zones, aws.network.egress, aws.network.internal) == (2, "nat", False)
    assert (aws.network.access_logs, aws.monitoring.log_retention_days) == (True, 30)
    assert (aws.database.multi_az, aws.cache.engine, aws.architecture) == (False, "valkey", "X86_64")


@pytest.mark.parametrize(
    ("aws", "path", "told"),
    [
        ({"account": 123456789012}, "aws.account", "text"),
        ({"account": "1234"}, "aws.account", "match"),
        ({"region": "europe"}, "aws.region", "match"),
        ({"permissionsBoundary": "boundary"}, "aws.permissionsBoundary", "must be an ARN"),
        ({"architecture": "amd64"}, "aws.architecture", "X86_64"),
        ({"network": {"cidr": "10.0.0.1/16"}}, "aws.network.cidr", "host bits"),
        ({"network": {"cidr": "10.0.0.0/24"}}, "aws.network.cidr", "/16 to /21"),
        ({"network": {"zones": 1}}, "aws.network.zones", "2 or more"),
        ({"network": {"allowedCidrs": []}}, "aws.network.allowedCidrs", ""),
        ({"network": {"allowedCidrs": ["everyone"]}}, "aws.network.allowedCidrs.0", "IPv4 block"),
        ({"network": {"privateSubnets": ["10.0.0.0/24"]}}, "aws.network.privateSubnets.0", "match"),
        ({"network": {"certificate": "x"}}, "aws.network.certificate", "must be an ARN"),
        ({"database": {"instanceClass": "t4g.micro"}}, "aws.database.instanceClass", "match"),
        ({"database": {"storage": 10}}, "aws.database.storage", "20 or more"),
        ({"cache": {"engine": "memcached"}}, "aws.cache.engine", "valkey"),
        ({"monitoring": {"logRetentionDays": 31}}, "aws.monitoring.logRetentionDays", "allowed"),
        ({"monitoring": {"email": "nobody"}}, "aws.monitoring.email", "match"),
        ({"databse": {}}, "aws.databse", "Did you mean database?"),
    ],
)
def test_a_bad_value_is_reported_with_its_key(aws: dict[str, Any], path: str, told: str) -> None:
    """As everywhere in the settings, and without the value."""
    with pytest.raises(SettingsError) as caught:
        loaded(**aws)
    problems = {problem.path: str(problem) for problem in caught.value.problems}
    assert told in problems[path]


def test_the_section_is_refused_where_nothing_is_on_aws() -> None:
    """It would be ignored there."""
    with pytest.raises(SettingsError, match="mlflow-backend:aws is set"):
        loaded("local", region="eu-west-1")
