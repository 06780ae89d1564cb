"""Alert policies: Google takes each document, and each watches what is the backend's own."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.aws.render import alarms
from mlflow_backend.gcp.render import alerts
from mlflow_backend.gcp.render.alerts import Absence, Figure, Line
from tests import google_apis
from tests.components.cloudrun.stacks import NAMING, PROJECT, VARIANTS, changed

CHANNEL = f"projects/{PROJECT}/notificationChannels/1"
ALWAYS = {"server-errors", "latency-p95", "front-errors", "component-degraded", "verification-red"}
STORES = {"database-connections", "database-storage", "cache-memory"}


def watched(
    variant: str, changes: dict[str, Any] | None = None, *, least: int = 1
) -> dict[str, Figure | Line | Absence]:
    """Return the alerts of a variant, by name."""
    return {each.name: each for each in alerts.alerts(changed(variant, changes or {}), NAMING, least=least)}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_policy_is_taken(variant: str) -> None:
    """Every field is one of Monitoring's discovery document, and what only its words say holds too."""
    settings = changed(variant, {"gcp": {"monitoring": {"email": "ml@example.com"}}})
    assert google_apis.problems("monitoring.v3", "NotificationChannel", alerts.channel(settings, NAMING)) == []
    for alert in alerts.alerts(settings, NAMING, least=1):
        body = alerts.policy(alert, settings, NAMING, channels=[CHANNEL])
        assert google_apis.problems("monitoring.v3", "AlertPolicy", body) == [], alert.name
        (condition,) = body["conditions"]
        assert ("conditionMatchedLog" in condition) == ("alertStrategy" in body), alert.name
        if "conditionThreshold" in condition:
            assert condition["conditionThreshold"]["comparison"] == "COMPARISON_GT"


@pytest.mark.parametrize(
    ("variant", "changes", "least", "names"),
    [
        ("basic", {}, 1, ALWAYS | STORES),
        ("many", {}, 1, ALWAYS | STORES | {"instances-at-most"}),
        ("many", {}, 3, ALWAYS | STORES),
        ("cold", {}, 0, ALWAYS | STORES),
        ("scheduled", {}, 1, ALWAYS | STORES | {"verification-old", "maintenance-failed"}),
        ("adopted", {}, 1, ALWAYS),
    ],
)
def test_a_backend_is_watched_for_what_is_its_own(
    variant: str, changes: dict[str, Any], least: int, names: set[str]
) -> None:
    """Adopted stores are their owner's; that all instances run is news only of several that do not stay."""
    assert set(watched(variant, changes, least=least)) == names


def test_each_figure_is_of_this_backend_alone() -> None:
    """A project often holds more than one."""
    for name, each in watched("many").items():
        own = (NAMING.service(), NAMING.database(), NAMING.cache(), NAMING.job("verify"))
        assert any(f'{part}"' in each.filter for part in own), name


def test_thresholds_follow_what_was_made() -> None:
    """Of the connections that the database accepts, and of the instances that there may be."""
    found = watched("many")
    connections, most = found["database-connections"], found["instances-at-most"]
    assert isinstance(connections, Figure)
    assert isinstance(most, Figure)
    # The variant has 400 connections and 3 instances; above 2 is all of them.
    assert (connections.threshold, most.threshold) == (320, 2)


def test_both_clouds_wake_people_for_the_same() -> None:
    """Users' errors and seconds have one threshold each, whatever the target."""
    aws = {
        each.name: each.threshold
        for each in alarms.alarms(
            cluster="c", database=None, cache=True, certificate=True, scheduled=("backup", "verify")
        )
    }
    ours = {name: each.threshold for name, each in watched("basic").items() if isinstance(each, Figure)}
    assert ours["server-errors"] == aws["server-errors"]
    assert ours["latency-p95"] == aws["latency-p95"] * 1000
    assert ours["cache-memory"] * 100 == aws["cache-memory"]


def test_a_verification_that_does_not_happen_is_noticed() -> None:
    """After as long as on AWS, which is less than what Google waits for at most; a red one is none that passed."""
    found = watched("scheduled")["verification-old"]
    assert isinstance(found, Absence)
    (aws,) = (
        each
        for each in alarms.alarms(cluster="c", database=None, cache=False, certificate=False, scheduled=["verify"])
        if each.name == found.name
    )
    assert f"{found.hours} hours" in aws.says
    assert 'metric.labels.result="succeeded"' in found.filter
    assert f'job_name="{NAMING.job("verify")}"' in found.filter


def test_nobody_is_written_to_who_was_not_named() -> None:
    """Without an address no channel is made, and policies show in the console alone."""
    assert alerts.channel(changed("basic", {}), NAMING) is None
