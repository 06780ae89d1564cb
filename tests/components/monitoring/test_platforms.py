"""What clouds watch in the place of the alerts: the table names alarms that are made, and leaves no alert out."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.aws.render.alarms import alarms
from mlflow_backend.aws.render.database import database_plan
from mlflow_backend.gcp.render.alerts import alerts
from mlflow_backend.monitoring import ALERTS
from mlflow_backend.monitoring.platforms import CLOUD_MONITORING, CLOUDWATCH, Watched, described
from tests.components.cloudrun import stacks as cloudrun
from tests.components.ecs import stacks as ecs

DATABASE = database_plan(ecs.settings_of("staging"))
MADE = {
    "CloudWatch": (
        CLOUDWATCH,
        alarms(cluster="c", database=DATABASE, cache=True, certificate=True, scheduled=("backup", "verify")),
    ),
    "Cloud Monitoring": (
        CLOUD_MONITORING,
        alerts(cloudrun.changed("backups", cloudrun.VARIANTS["scheduled"]), cloudrun.NAMING, least=0),
    ),
}


@pytest.mark.parametrize(("table", "made"), MADE.values(), ids=MADE)
def test_every_alert_has_an_alarm_of_the_platform_or_a_reason(table: dict[str, Watched], made: tuple[Any, ...]) -> None:
    """An alarm that was renamed, and an alert that nobody thought of, would be missed by whoever trusts the page."""
    assert list(table) == [alert.name for alert in ALERTS]
    assert {name for each in table.values() for name in each.alarms} <= {each.name for each in made}
    assert [name for name, each in table.items() if not each.alarms and not each.note] == []


@pytest.mark.parametrize(
    ("watched", "cell"),
    [
        (Watched(alarms=("a", "b")), "`a`, `b`"),
        (Watched(alarms=("a",), note="five minutes"), "`a` (five minutes)"),
        (Watched(alarms=(), note="nobody asks"), "none: nobody asks"),
    ],
)
def test_a_cell_of_the_runbook_says_alarms_or_why_there_is_none(watched: Watched, cell: str) -> None:
    """The runbook's table is made of these cells."""
    assert described(watched) == cell
