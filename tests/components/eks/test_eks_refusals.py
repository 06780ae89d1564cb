"""What the target cannot do is refused before anything is touched, each setting by its key."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.eks.refusals import refuse_unsupported
from tests.components.eks.stacks import POSTGRES, VARIANTS, settings_of

ARN = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("eks", {"aws": {"account": None}}, "aws.account"),
    ("eks", {"eks": {"cluster": {"version": None}}}, "eks.cluster.version"),
    ("eks", {"eks": {"cluster": {"allowedCidrs": None}}}, "eks.cluster.allowedCidrs"),
    ("eks", {"eks": {"cluster": {"allowedCidrs": ["0.0.0.0/0"]}}}, "eks.cluster.allowedCidrs"),
    ("private", {"eks": {"cluster": {"allowedCidrs": ["203.0.113.0/24"]}}}, "eks.cluster.allowedCidrs"),
    ("eks", {"eks": {"nodes": {"minimum": 5}}}, "eks.nodes.minimum"),
    ("adopted", {"eks": {"cluster": {"version": "1.34"}}}, "eks.cluster.version"),
    ("adopted", {"eks": {"cluster": {"administrators": [ARN]}}}, "eks.cluster.administrators"),
    ("adopted", {"eks": {"nodes": {"minimum": 1}}}, "eks.nodes"),
    ("adopted", {"eks": {"addons": {"coredns": "v1.12.1-eksbuild.2"}}}, "eks.addons"),
    ("eks", {"aws": {"network": {"egress": "endpoints"}}}, "aws.network.egress"),
    ("eks", {"aws": {"network": {"privateSubnets": ["subnet-1"]}}}, "aws.network.privateSubnets"),
    ("private", {"aws": {"network": {"privateSubnets": ["subnet-1"]}}}, "aws.network.privateSubnets"),
    ("private", {"aws": {"network": {"zones": 3}}}, "aws.network.zones"),
    ("eks", {"aws": {"network": {"certificate": ARN}}}, "aws.network.certificate"),
    ("eks", {"aws": {"network": {"internal": True}}}, "aws.network.internal"),
    (
        "eks",
        {"eks": {"cluster": {"existing": "team", "version": None, "allowedCidrs": None}}},
        "network.existing",
    ),
    ("within", {"aws": {"database": {"instanceClass": "db.t4g.small"}}}, "aws.database.instanceClass"),
    ("within", {"aws": {"cache": {"nodeType": "cache.t4g.micro"}}}, "aws.cache.nodeType"),
    ("within", {"kubernetes": {"database": {"image": None}}}, "kubernetes.database.image"),
    ("within", {"backup": {"retentionDays": 7}}, "backup.retentionDays"),
    ("eks", {"kubernetes": {"database": {"image": POSTGRES}}}, "kubernetes.database.image"),
    ("eks", {"aws": {"database": {"instanceClass": "db.t4g.small"}}}, "database.maxConnections"),
    ("eks", {"backup": {"retentionDays": 60}}, "backup.retentionDays"),
    ("adopted", {"aws": {"database": {"secret": None}}}, "aws.database.secret"),
    ("eks", {"kubernetes": {"context": "mine"}}, "kubernetes.context"),
    ("eks", {"kubernetes": {"artifacts": {"region": "us-east-1"}}}, "kubernetes.artifacts.region"),
    ("eks", {"kubernetes": {"database": {"rds": True}}}, "kubernetes.database.rds"),
    ("eks", {"aws": {"architecture": "ARM64"}}, "aws.architecture"),
    ("eks", {"aws": {"scaling": {"cpuPercent": 50}}}, "aws.scaling"),
    ("within", {"aws": {"monitoring": {"email": "a@example.com"}}}, "aws.monitoring.email"),
    ("eks", {"access": {"mode": "token"}}, "access.mode"),
    ("eks", {"server": {"image": "registry.example.com/mlflow:3"}}, "server.image"),
    ("eks", {"kubernetes": {"ingress": {"className": "alb"}}}, "kubernetes.ingress"),
    ("private", {"kubernetes": {"backup": {"secret": "backup-keys"}}}, "kubernetes.backup.secret"),
    ("private", {"kubernetes": {"backup": {"endpoint": "https://s3.example.com"}}}, "kubernetes.backup.endpoint"),
    ("private", {"backup": {"destination": "/mnt/backups"}}, "backup.destination"),
    ("eks", {"kubernetes": {"backup": {"temporaryMib": 512}}}, "kubernetes.backup"),
    ("eks", {"tags": {"cost center": "ml"}}, "tags."),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_stacks_under_test_are_taken(variant: str) -> None:
    """Otherwise the refusals below could come from anything."""
    refuse_unsupported(settings_of(variant))


@pytest.mark.parametrize(("variant", "over", "key"), REFUSED, ids=[f"{each[0]}-{each[2]}" for each in REFUSED])
def test_what_cannot_be_fulfilled_is_refused_by_its_key(variant: str, over: dict[str, Any], key: str) -> None:
    """No setting is ignored without a word."""
    with pytest.raises(Refused) as refused:
        refuse_unsupported(settings_of(variant, over))
    assert refused.value.code == "settings-unfulfillable"
    assert key in str(refused.value)


def test_all_findings_are_said_at_once_and_each_once() -> None:
    """One mistake at a time is one update at a time."""
    with pytest.raises(Refused) as refused:
        refuse_unsupported(settings_of(over={"eks": {"cluster": {"version": None}}, "backup": {"retentionDays": 60}}))
    said = str(refused.value)
    assert "eks.cluster.version" in said
    assert said.count("backup.retentionDays") == 1
