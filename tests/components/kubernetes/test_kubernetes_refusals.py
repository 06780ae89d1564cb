"""What the target cannot do is refused before anything is touched, each setting by its key."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mlflow_backend.contract import Refused
from mlflow_backend.kubernetes.refusals import refuse_unsupported
from tests.components.kubernetes.stacks import VARIANTS, settings_of

KEY = VARIANTS["backed-up"]["backup"]["recoveryKey"]
LOGIN = {"network": {"publishedTo": ["argo"], "publishedLogins": {"argo": "ada"}}}
USER = {"password": "env:ADA_PASSWORD"}
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"kubernetes": {"context": None}}, "kubernetes.context"),
    ({"server": {"image": "registry.example.com/mlflow-backend:3.17.2"}}, "server.image"),
    ({"access": {"mode": "token"}}, "access.mode"),
    ({"access": {"mode": "cloudIdentity"}}, "access.mode"),
    ({"kubernetes": {"database": {"image": None}}}, "kubernetes.database.image"),
    ({"kubernetes": {"database": {"hostKey": "host"}}}, "kubernetes.database.hostKey"),
    ({"kubernetes": {"database": {"secret": "x"}}}, "kubernetes.database.secret"),
    ({"database": {"mode": "adopt", "existing": "postgresql://h:1/n"}}, "kubernetes.database.secret"),
    (
        {
            "database": {"mode": "adopt", "existing": "postgresql://h:1/n"},
            "kubernetes": {"database": {"image": None, "secret": "x", "ca": "y", "rds": True}},
        },
        "kubernetes.database.ca",
    ),
    ({"kubernetes": {"cache": {"image": None}}}, "kubernetes.cache.image"),
    ({"kubernetes": {"cache": {"secret": "x"}}}, "kubernetes.cache.secret"),
    ({"cache": {"mode": "adopt", "existing": "rediss://h:1"}}, "kubernetes.cache.secret"),
    ({"artifacts": {"mode": "create", "existing": None}}, "artifacts.mode"),
    ({"artifacts": {"existing": "gs://bucket/x"}}, "artifacts.existing"),
    ({"network": {"publicUrl": None}}, "kubernetes.ingress"),
    ({"network": {"publicUrl": "https://10.0.0.1"}}, "network.publicUrl"),
    ({"network": {"publicUrl": "http://mlflow.example.com"}}, "kubernetes.ingress.tlsSecret"),
    ({"network": {"mode": "adopt", "existing": "x"}}, "network.mode"),
    ({"kubernetes": {"server": {"cpuRequest": 2048}}}, "kubernetes.server.cpuRequest"),
    ({"kubernetes": {"server": {"memoryRequest": 4096}}}, "kubernetes.server.memoryRequest"),
    ({"kubernetes": {"database": {"memoryRequest": 8192}}}, "kubernetes.database"),
    ({"release": {"soakHours": 1}}, "release.soakHours"),
    ({"backup": {"retentionDays": 7}}, "backup.retentionDays"),
    ({"kubernetes": {"backup": {"secret": "x"}}}, "kubernetes.backup"),
    ({"backup": {"destination": "/mnt/backups", "recoveryKey": KEY}}, "backup.destination"),
    ({"backup": {"destination": "s3://b", "recoveryKey": KEY, "drillSchedule": "0 4 * * 0"}}, "backup.drillSchedule"),
    ({"kubernetes": LOGIN}, "publishedLogins.argo names ada, who"),
    ({"kubernetes": LOGIN, "access": {"mode": "none"}}, "publishedLogins.argo is set, and with access.mode none"),
    (
        {"kubernetes": LOGIN, "access": {"mode": "basic", "users": {"ada": {**USER, "admin": True}}}},
        "publishedLogins.argo names ada, an administrator",
    ),
    (
        {
            "kubernetes": {"network": {"publishedLogins": {"argo": "ada"}}},
            "access": {"mode": "basic", "users": {"ada": USER}},
        },
        "kubernetes.network.publishedTo",
    ),
    ({"tags": {"cost center": "ml"}}, "tags."),
]


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_stacks_under_test_are_taken(variant: str) -> None:
    """Otherwise the refusals below could come from anything."""
    refuse_unsupported(settings_of(variant))


@pytest.mark.parametrize(("over", "key"), REFUSED, ids=[key for _, key in REFUSED])
def test_what_cannot_be_fulfilled_is_refused_by_its_key(over: dict[str, Any], key: str) -> None:
    """No setting is ignored without a word."""
    with pytest.raises(Refused) as refused:
        refuse_unsupported(settings_of(over=over))
    assert refused.value.code == "settings-unfulfillable"
    assert key in str(refused.value)


def test_all_findings_are_said_at_once() -> None:
    """One mistake at a time is one update at a time."""
    with pytest.raises(Refused) as refused:
        refuse_unsupported(settings_of(over={"kubernetes": {"context": None}, "backup": {"retentionDays": 7}}))
    assert "kubernetes.context" in str(refused.value)
    assert "backup.retentionDays" in str(refused.value)


@pytest.mark.parametrize(
    "over",
    [
        {"kubernetes": {"namespace": "Not a name"}},
        {"kubernetes": {"database": {"image": "postgres:17"}}},
        {"kubernetes": {"network": {"clients": {"a b": "c"}}}},
        {"kubernetes": {"artifacts": {"endpoint": "http://user:word@host"}}},
        {"kubernetes": {"artifacts": {"endpoint": "http://host:port"}}},
    ],
)
def test_a_value_that_kubernetes_takes_nowhere_is_no_setting(over: dict[str, Any]) -> None:
    """The message names the key, and does not repeat the value."""
    with pytest.raises(ValidationError) as refused:
        settings_of(over=over)
    assert "word" not in str(refused.value)
