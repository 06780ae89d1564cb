"""What leaves a verification besides its table: its JSON, the latency table, the published report."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from mlflow_backend.verify import latency, publish, runner
from mlflow_backend.verify.context import Timing
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report
from mlflow_backend.verify.subjects import Subject
from tests.components.verify.fake_mlflow import FakeMLflow, error

REPORT = Report(
    url="http://127.0.0.1:1",
    profile="core",
    deadline_s=180,
    started="2026-01-01T00:00:00Z",
    finished="2026-01-01T00:00:01Z",
    verdict=Result.PASS,
)


SCHEMA = json.loads((Path(__file__).resolve().parents[3] / "schema" / "verification-1.json").read_text())


@pytest.mark.parametrize("broken", ["", "runs/create", "experiments/search", "/health"])
def test_reports_keep_the_published_schema(server: FakeMLflow, broken: str) -> None:
    """Green, red and unfinished reports are what schema/verification-1.json says: dashboards and jobs rely on it."""
    server.fault = lambda asked: error(500, "INTERNAL_ERROR") if broken and broken in asked.path else None
    begun: list[Report] = []
    report = runner.run(Subject(url=server.url, expected_version="3.17.2"), begun=begun.append)
    for document in (begun[0].to_document(), report.to_document()):
        jsonschema.validate(json.loads(json.dumps(document)), SCHEMA)


def test_the_latency_table_has_one_row_an_endpoint() -> None:
    """Median and longest of each endpoint, slowest first; what had no answer has no latency."""
    timings = [Timing(check="a", endpoint="GET /x", status=200, latency_ms=time) for time in (1.0, 3.0, 8.0)] + [
        Timing(check="a", endpoint="GET /y", status=500, latency_ms=5.0),
        Timing(check="a", endpoint="GET /z", status=None, latency_ms=900.0),
    ]
    rows = latency.table(timings)
    assert [(row.endpoint, row.count, row.median_ms, row.most_ms) for row in rows] == [
        ("GET /y", 1, 5.0, 5.0),
        ("GET /x", 3, 3.0, 8.0),
    ]
    assert "GET /x" in latency.text(rows)


def test_the_report_is_published_beside_the_artifacts(server: FakeMLflow) -> None:
    """A job reads the whole report as verification.json from the artifact store."""
    assert publish.publish(Subject(url=server.url), REPORT) == ""
    assert json.loads(server.artifacts["verification.json"])["stage"] == "initialized"


def test_a_report_that_cannot_be_published_is_reported(server: FakeMLflow) -> None:
    """A store that refuses the report is named, and so is a credential that is missing."""
    server.fault = lambda _asked: error(500, "INTERNAL_ERROR")
    assert "500" in publish.publish(Subject(url=server.url), REPORT)
    assert "NOT_SET" in publish.publish(Subject(url=server.url, credentials={"token": "env:NOT_SET"}), REPORT)
