"""Each alert fires on the figures that it is for, and stays quiet on those of a healthy backend: by promtool."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mlflow_backend.monitoring import ALERTS, rules
from tests import apt

if TYPE_CHECKING:
    from pathlib import Path

OWN = {"job": "mlflow-backend", "stack": "local"}
LABELS = 'job="mlflow-backend", stack="local", instance="a:9464"'
WHOLE = 'job="mlflow-backend", stack="local", part="stack", instance="c:1"'
OTHER = 'job="mlflow-backend", stack="other", instance="b:9464"'
#: A minute a sample, and two hours of them.
STEADY = "x120"
EVALUATED = "60m"
DEADLINE_S = 300
REQUESTS = "mlflow_backend_http_requests_total"
SECONDS = "mlflow_backend_http_request_duration_seconds_bucket"
SAVED = 'route="/api/2.0/mlflow/runs/get"'
COPIED = 'route="/api/2.0/mlflow-artifacts/artifacts/{artifact_path}"'
PROBED = 'route="/health"'


def series(name: str, values: str, *labels: str, of: str = LABELS) -> dict[str, str]:
    """Return one series as promtool reads it."""
    return {"series": f"{name}{{{', '.join((of, *labels))}}}", "values": values}


def ours(name: str, values: str, *labels: str) -> dict[str, str]:
    """Return one series of the plugin."""
    return series(f"mlflow_backend_{name}", values, *labels)


def flat(value: float) -> str:
    """Return the values of a gauge that does not move."""
    return f"{value}+0{STEADY}"


HEALTHY: tuple[dict[str, str], ...] = (
    series("up", flat(1)),
    ours("component_up", flat(1), 'component="database"'),
    ours("component_up", flat(1), 'component="redis"'),
    series(REQUESTS, f"0+60{STEADY}", SAVED, 'status="200"'),
    series(REQUESTS, f"0+5{STEADY}", SAVED, 'status="500"'),
    series(SECONDS, f"0+58{STEADY}", SAVED, 'le="0.5"'),
    series(SECONDS, f"0+59{STEADY}", SAVED, 'le="2.5"'),
    series(SECONDS, f"0+60{STEADY}", SAVED, 'le="+Inf"'),
    # A model of ten gigabytes is none of its business.
    series(SECONDS, f"0+0{STEADY}", COPIED, 'le="2.5"'),
    series(SECONDS, f"0+900{STEADY}", COPIED, 'le="+Inf"'),
    ours("worker_deaths_total", flat(3)),
    ours("start_time_seconds", flat(1000)),
    ours("memory_kills_total", flat(2)),
    ours("memory_bytes", flat(80)),
    ours("memory_limit_bytes", flat(100)),
    ours("database_connections", flat(40), 'state="idle"'),
    ours("database_connections", flat(30), 'state="active"'),
    ours("database_connections_limit", flat(100)),
    ours("schema_at_head", flat(1), 'chain="tracking"'),
    ours("temporary_bytes", flat(80), 'state="used"'),
    ours("temporary_bytes", flat(20), 'state="free"'),
    ours("database_size_bytes", flat(9), 'database="tracking"'),
    series("up", flat(1), of=WHOLE),
    series("mlflow_backend_disk_bytes", flat(80), 'state="used"', of=WHOLE),
    series("mlflow_backend_disk_bytes", flat(20), 'state="free"', of=WHOLE),
    series("mlflow_backend_artifact_bytes", flat(10), of=WHOLE),
    series("mlflow_backend_verification_passed", flat(1), of=WHOLE),
    series("mlflow_backend_work_failed", flat(0), 'work="backup"', of=WHOLE),
    series("mlflow_backend_certificate_end_time_seconds", flat(1_300_000), of=WHOLE),
    # What is evaluated is an hour old: the time of the tests begins at zero.
    series("mlflow_backend_work_done_time_seconds", flat(-80_000), 'work="backup"', of=WHOLE),
    series("mlflow_backend_work_done_time_seconds", flat(-6_000), 'work="verification"', of=WHOLE),
    series("mlflow_backend_work_done_time_seconds", flat(-600_000), 'work="drill"', of=WHOLE),
)  # fmt: skip
#: What differs from a healthy backend while an alert fires; and the labels of the alert, besides its own.
FAULTS: dict[str, tuple[tuple[dict[str, str], ...], dict[str, str]]] = {
    "ServerDown": ((series("up", flat(0)),), {}),
    "DatabaseUnreachable": ((ours("component_up", flat(0), 'component="database"'),), {}),
    "ComponentDegraded": ((ours("component_up", flat(0), 'component="redis"'),), {"component": "redis"}),
    "RequestsFail": ((series(REQUESTS, f"0+8{STEADY}", SAVED, 'status="500"'),), {}),
    "RequestsSlow": (
        (
            series(SECONDS, f"0+50{STEADY}", SAVED, 'le="0.5"'),
            series(SECONDS, f"0+52{STEADY}", SAVED, 'le="2.5"'),
            series(SECONDS, f"0+60{STEADY}", SAVED, 'le="10.0"'),
            series(SECONDS, f"0+60{STEADY}", SAVED, 'le="+Inf"'),
        ),
        {},
    ),
    "WorkerDied": ((ours("worker_deaths_total", "3+0x55 4+0x60"),), {}),
    "ServerRestarted": ((ours("start_time_seconds", "1000+0x55 4300+0x60"),), {}),
    "OutOfMemory": ((ours("memory_kills_total", "2+0x55 3+0x60"),), {}),
    "MemoryHigh": ((ours("memory_bytes", flat(95)),), {}),
    "ConnectionsHigh": ((ours("database_connections", flat(55), 'state="active"'),), {}),
    "SchemaNotAtHead": ((ours("schema_at_head", flat(0), 'chain="tracking"'),), {"chain": "tracking"}),
    "TemporarySpaceLow": ((ours("temporary_bytes", flat(5), 'state="free"'),), {}),
    "FiguresMissing": ((ours("database_size_bytes", f"_{STEADY}", 'database="tracking"'),), {}),
    "VerificationRed": ((series("mlflow_backend_verification_passed", flat(0), of=WHOLE),), {}),
    "VerificationOld": (
        (series("mlflow_backend_work_done_time_seconds", flat(-9_000), 'work="verification"', of=WHOLE),),
        {},
    ),
    "ScheduledWorkFailed": (
        (series("mlflow_backend_work_failed", flat(1), 'work="backup"', of=WHOLE),),
        {"work": "backup"},
    ),
    "BackupOld": ((series("mlflow_backend_work_done_time_seconds", flat(-100_000), 'work="backup"', of=WHOLE),), {}),
    "DrillOld": ((series("mlflow_backend_work_done_time_seconds", flat(-700_000), 'work="drill"', of=WHOLE),), {}),
    "CertificateEnds": (
        (series("mlflow_backend_certificate_end_time_seconds", flat(1_200_000), of=WHOLE),),
        {},
    ),
    "DiskLow": ((series("mlflow_backend_disk_bytes", flat(5), 'state="free"', of=WHOLE),), {}),
    "ArtifactsGrow": ((series("mlflow_backend_artifact_bytes", f"10+1{STEADY}", of=WHOLE),), {}),
}
#: What is no fault, as much as it looks like one.
HARMLESS: dict[str, tuple[dict[str, str], ...]] = {
    "nobody calls": (
        series(REQUESTS, flat(60), SAVED, 'status="200"'),
        series(REQUESTS, f"0 0 0 0 0 0 1+0{STEADY}", SAVED, 'status="500"'),
    ),
    "probes alone fail": (series(REQUESTS, f"0+900{STEADY}", PROBED, 'status="503"'),),
    "a component was away for four minutes": (
        ours("component_up", "1+0x56 0+0x3 1+0x60", 'component="redis"'),
    ),
    "another backend is down": (series("up", flat(0), of=OTHER),),
    "a migration of ten minutes": (ours("schema_at_head", "1+0x50 0+0x9 1+0x60", 'chain="tracking"'),),
}  # fmt: skip
#: Alerts whose own fault sets off another one too.
BESIDES = {"DatabaseUnreachable": ({"component": "database"}, "ComponentDegraded")}


def instead(faults: tuple[dict[str, str], ...]) -> list[dict[str, str]]:
    """Return the series of a healthy backend with these instead of their like."""
    replaced = {each["series"] for each in faults}
    return [*(each for each in HEALTHY if each["series"] not in replaced), *faults]


def expected(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """Return what promtool has to find of an alert that fires."""
    alert = next(each for each in ALERTS if each.name == name)
    summary = alert.summary
    for label, value in labels.items():
        summary = summary.replace(f"{{{{ $labels.{label} }}}}", value)
    return {
        "exp_labels": {**OWN, "severity": alert.severity, **labels},
        "exp_annotations": {"summary": summary, "runbook": alert.runbook},
    }


def case(faults: tuple[dict[str, str], ...], firing: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Return one test of promtool: which alerts fire, and that no other does."""
    return {
        "interval": "1m",
        "input_series": instead(faults),
        "alert_rule_test": [
            {"eval_time": EVALUATED, "alertname": f"Mlflow{alert.name}", "exp_alerts": firing.get(alert.name, [])}
            for alert in ALERTS
        ],
    }


def judged(folder: Path, tests: list[dict[str, Any]]) -> subprocess.CompletedProcess[str]:
    """Return what promtool says of the rules by these tests."""
    if (reason := apt.why_missing({"promtool": "prometheus"})) is not None:
        pytest.skip(reason)
    (folder / "rules.yml").write_text(yaml.safe_dump(rules(OWN)))
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "1m", "tests": tests}
    (folder / "tests.yml").write_text(json.dumps(document))
    command = ["promtool", "test", "rules", "tests.yml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def test_every_alert_has_a_fault() -> None:
    """An alert that nobody saw fire is a sentence, not an alert."""
    assert list(FAULTS) == [alert.name for alert in ALERTS]


def test_each_alert_fires_on_its_fault_and_no_other_does(tmp_path: Path) -> None:
    """With the labels by which it is sent on, and its section of the runbook."""
    tests = []
    for name, (faults, labels) in FAULTS.items():
        firing = {name: [expected(name, labels)]}
        if name in BESIDES:
            more, other = BESIDES[name]
            firing[other] = [expected(other, more)]
        tests.append(case(faults, firing))
    done = judged(tmp_path, tests)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_fires_on_what_is_no_fault(tmp_path: Path) -> None:
    """Whoever is woken for nothing turns the alert off."""
    done = judged(tmp_path, [case((), {}), *(case(faults, {}) for faults in HARMLESS.values())])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_backend_without_series_is_down(tmp_path: Path) -> None:
    """Prometheus that finds no server has no series that could be zero."""
    test = case((), {"ServerDown": [expected("ServerDown", {})]}) | {"input_series": [series("up", flat(1), of=OTHER)]}
    done = judged(tmp_path, [test])
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_label_cannot_break_out_of_its_selector() -> None:
    """A stack's name is the user's."""
    (first, *_) = rules({"stack": 'a"} or vector(1)'})["groups"][0]["rules"]
    assert r'stack="a\"} or vector(1)"' in first["expr"]
