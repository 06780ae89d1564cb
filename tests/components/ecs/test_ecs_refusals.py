"""What the ecs target refuses at preview, in sentences that name the setting."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.ecs.refusals import refuse_unsupported
from tests.components.ecs.stacks import ADOPTED, VARIANTS, changed, settings_of


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_ships_is_not_refused(variant: str) -> None:
    """Neither the stacks nor the variants that are tested further."""
    refuse_unsupported(settings_of(variant))


ADOPT_ALL = {**ADOPTED, "network": {**ADOPTED["network"], "publicUrl": None}}


def adopted(section: str, **changes: Any) -> dict[str, Any]:
    """Return the changes that adopt everything, with one part of `aws` changed again."""
    return {**ADOPT_ALL, "aws": {**ADOPT_ALL["aws"], section: {**ADOPT_ALL["aws"][section], **changes}}}


def backed_up(**changes: Any) -> dict[str, Any]:
    """Return the changes that back a stack up, with single ones of the section."""
    key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    return {"backup": {"destination": "s3://elsewhere/team", "recoveryKey": key, **changes}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"aws": {"account": None}}, "aws.account is missing"),
        ({"aws": {"region": None}}, "aws.region is missing"),
        ({"server": {"image": None}}, "server.image is missing"),
        ({"tags": {"team": "A's"}}, "tags.team has characters"),
        ({"tags": {"owner,team": "a"}}, "has characters that AWS takes in no tag"),
        ({"tags": {"aws:team": "a"}}, "has characters that AWS takes in no tag"),
        (
            {"aws": {"registrySecret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:r-AbCdEf"}},
            "server.image is in ECR, which takes none",
        ),
        ({"access": {"mode": "cloudIdentity"}}, "which this target does not have"),
        ({"server": {"cpu": 1024, "memory": 9216}}, "Fargate has no task of 1024 CPU units with 9216 MiB"),
        ({"aws": {"network": {"certificate": None}}, "network": {"publicUrl": None}}, "internal balancer only"),
        ({"network": {"publicUrl": None}}, "network.publicUrl is missing"),
        ({"network": {"publicUrl": "http://mlflow.example.com"}}, "disagree on HTTPS"),
        ({"network": {"publicUrl": "https://mlflow.example.com:8443"}}, "names a port"),
        (
            {
                "aws": {"network": {"certificate": None, "internal": True, "hostedZone": "Z1"}},
                "network": {"publicUrl": None},
            },
            "no network.publicUrl to make a record of",
        ),
        ({"aws": {"network": {"privateSubnets": ["subnet-1"]}}}, "network.mode is create"),
        (adopted("network", privateSubnets=["subnet-1"]), "privateSubnets of an adopted network must name two"),
        (adopted("network", internal=False), "publicSubnets must name two"),
        (adopted("network", zones=2), "aws.network.zones shapes a created network"),
        ({"aws": {"database": {"securityGroup": "sg-1"}}}, "database.mode is create"),
        (adopted("database", secret=None), "aws.database.secret is missing"),
        (adopted("database", securityGroup=None), "aws.database.securityGroup is missing"),
        (adopted("database", instanceClass="db.t4g.micro"), "sizes a created database"),
        ({"aws": {"cache": {"securityGroup": "sg-1"}}}, "cache.mode is create"),
        (adopted("cache", secret=None), "aws.cache.secret is missing"),
        (adopted("cache", securityGroup=None), "aws.cache.securityGroup is missing"),
        ({"artifacts": {"mode": "adopt", "existing": "gs://bucket/x"}}, "artifacts.existing is not in S3"),
        ({"aws": {"artifacts": {"key": "arn:aws:kms:eu-west-1:1:key/x"}}}, "artifacts.mode is create"),
        ({"aws": {"database": {"instanceClass": "db.t4g.micro"}}}, "db.t4g.micro has memory for 112"),
        ({"aws": {"database": {"maxStorage": 50}}}, "aws.database.maxStorage is not more"),
        ({"backup": {"retentionDays": 40}}, "RDS keeps 35 at most"),
        ({"release": {"soakSource": None}}, "release.soakSource does not say"),
        ({"release": {"soakHours": None}}, "release.soakHours does not say"),
        (adopted("monitoring", email="a@example.com"), "has its own subscribers"),
        (backed_up(destination="/mnt/backups"), "backup.destination is not in S3"),
        (backed_up(destination="gs://elsewhere/team"), "backup.destination is not in S3"),
        (backed_up(drillSchedule="0 4 * * 0"), "backup.drillSchedule is set"),
        (backed_up(schedule="0 4 1 * 1"), "backup.schedule names days of month and week"),
    ],
)
def test_what_aws_cannot_do_is_refused(changes: dict[str, Any], told: str) -> None:
    """Each refusal names the setting and what stands against it."""
    with pytest.raises(Refused) as caught:
        refuse_unsupported(changed("staging", changes))
    assert told in str(caught.value)


def test_everything_is_reported_at_once() -> None:
    """One round of fixing is enough."""
    with pytest.raises(Refused) as caught:
        refuse_unsupported(changed("staging", {"aws": {"account": None, "region": None}, "server": {"image": None}}))
    for told in ("aws.account", "aws.region", "server.image"):
        assert told in str(caught.value)
