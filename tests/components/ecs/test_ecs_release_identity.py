"""The identity of a release: it changes if what the server's task is given changes, and only then."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.ecs.render import containers, tasks
from tests.components.ecs.stacks import IMAGE, changed, naming_of, request_of, settings_of, tasks_of

SERVED: dict[str, dict[str, Any]] = {
    "version": {"server": {"mlflowVersion": "3.10.1"}},
    "image": {"server": {"image": IMAGE.replace("a" * 64, "b" * 64)}},
    "workers": {"server": {"workers": 1}},
    "size": {"server": {"cpu": 4096, "memory": 16384}},
    "time-out": {"server": {"requestTimeout": 120}},
    "flags": {"server": {"extraFlags": {"expose-prometheus": "/metrics"}}},
    "largest artifact": {"server": {"maxArtifactMib": 100}},
    "largest request": {"server": {"maxRequestMib": 7}},
    "architecture": {"aws": {"architecture": "ARM64"}},
    "URL": {"network": {"publicUrl": "https://other.example.com"}},
    "prefix": {"network": {"pathPrefix": "/ml"}},
    "hosts": {"access": {"hosts": ["ml.example.com"]}},
    "origins": {"access": {"origins": ["https://ui.example.com"]}},
    "database's user": {"aws": {"database": {"user": "another"}}},
    "registry": {"aws": {"registrySecret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:r-AbCdEf"}},
}
"""Settings that reach the server's task."""

AROUND: dict[str, dict[str, Any]] = {
    "alarms": {"aws": {"monitoring": {"email": "somebody.else@example.com"}}},
    "retention": {"aws": {"monitoring": {"logRetentionDays": 7}}},
    "callers": {"aws": {"network": {"allowedCidrs": ["10.0.0.0/8"]}}},
    "scaling": {"aws": {"scaling": {"cpuPercent": 33}}},
    "old versions": {"aws": {"artifacts": {"oldVersionDays": 11}}},
    "verification": {"verify": {"deadline": 60}},
    "backups": {"backup": {"retentionDays": 3}},
    "tags": {"tags": {"team": "another"}},
}
"""Settings that watch, reach or keep what is served."""


def given(settings: Any) -> dict[str, Any]:
    """Return what ECS is given for the server, but for the label that holds the identity."""
    task = request_of(tasks_of("staging", settings=settings)[tasks.SERVER])
    for container in task["containerDefinitions"]:
        container["dockerLabels"].pop(containers.SETTINGS_LABEL)
    return task


def identity(changes: dict[str, Any]) -> str:
    """Return the identity of staging's release with changed settings."""
    return tasks.release_identity(changed("staging", changes), naming_of("staging"))


@pytest.mark.parametrize("changes", SERVED.values(), ids=SERVED)
def test_what_reaches_the_server_is_another_release(changes: dict[str, Any]) -> None:
    """Otherwise a fixed release stays blocked for ever."""
    assert identity(changes) != identity({})


@pytest.mark.parametrize("changes", AROUND.values(), ids=AROUND)
def test_what_does_not_reach_it_is_none(changes: dict[str, Any]) -> None:
    """The e-mail address of an alarm once deployed the servers anew, and lifted the block on a failed release."""
    assert given(changed("staging", changes)) == given(settings_of("staging"))
    assert identity(changes) == identity({})
