"""An adopted database's engine as RDS states it; tests/server/test_db_majors.py has the table over majors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mlflow_backend.ecs.preflight import preflight_args
from mlflow_backend.findings import Outcome
from mlflow_backend.preflight import database, image
from mlflow_backend.preflight.image import CLIENT_LABEL
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.stacks import naming_of, settings_of

ROOT = Path(__file__).resolve().parents[3]
HOST = "shared.abc123.eu-west-1.rds.amazonaws.com"


def _rds(*, instance: str = "", cluster: str = "", version: str = "17.4") -> Recorded:
    instances: list[dict[str, Any]] = [{"DBInstanceIdentifier": "being-made"}]
    if instance:
        instances.append({"Endpoint": {"Address": instance}, "EngineVersion": version})
    clusters = [{"Endpoint": "x", "ReaderEndpoint": cluster, "EngineVersion": version}] if cluster else []
    found = Recorded("rds").answers("DescribeDBInstances", {"DBInstances": instances})
    return found.answers("DescribeDBClusters", {"DBClusters": clusters})


@pytest.mark.parametrize(
    ("rds", "host", "outcome"),
    [
        (_rds(instance=HOST), HOST, Outcome.PASS),
        (_rds(instance=HOST), HOST.upper(), Outcome.PASS),
        (_rds(instance=HOST, version="16.9"), HOST, Outcome.FAIL),
        (_rds(instance=HOST, version="18.1"), HOST, Outcome.FAIL),
        (_rds(cluster=HOST, version="16.4"), HOST, Outcome.FAIL),
        (_rds(), HOST, Outcome.SKIP),
        (_rds(instance=HOST), "db.example.com", Outcome.SKIP),
        (Recorded("rds").answers("DescribeDBInstances", "AccessDenied"), HOST, Outcome.SKIP),
    ],
)
def test_the_engine_is_asked_of_rds(rds: Recorded, host: str, outcome: Outcome) -> None:
    """The database itself is not in reach of a preview; what cannot be asked is shown as skipped, never as passed."""
    finding = database.check(rds.client, host, 17)
    assert finding.outcome is outcome
    assert "17" in f"{finding.message} {finding.fix}"


def test_the_image_says_of_which_major_its_clients_are() -> None:
    """Without the label it is an image from before that, which had the project's own major."""
    assert f"{CLIENT_LABEL}=" in (ROOT / "server" / "Dockerfile").read_text(encoding="utf-8")
    assert image.Inspection(findings=()).clients == image.CLIENT_MAJOR


def test_an_adopted_database_is_looked_at_and_a_created_one_is_not() -> None:
    """A created one is of the project's own major (test_ecs_limits)."""
    assert preflight_args(settings_of("adopted"), naming_of("adopted")).database == "db.example.com"
    assert preflight_args(settings_of("dev"), naming_of("dev")).database is None
