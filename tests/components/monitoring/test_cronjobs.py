"""Alerts on what CronJobs do, by promtool, on the figures that kube-state-metrics gives of them."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from mlflow_backend.monitoring import ALERTS, rules
from mlflow_backend.monitoring.cronjobs import recorded
from tests import apt

if TYPE_CHECKING:
    from pathlib import Path

OWN = {"job": "mlflow-cluster", "namespace": "ml"}
CRON_JOBS = {"backup": "mlflow-cluster-backup", "verification": "mlflow-cluster-verification"}
HOUR_S = 3600
#: Two days of samples, five minutes apart: the time of the tests begins at zero.
STEADY, EVALUATED_S = "x576", 40 * HOUR_S
DEADLINE_S = 120
WORD = "kube_cronjob_"


def of(work: str, figure: str, value: float | str, *, namespace: str = "ml") -> dict[str, str]:
    """Return a figure of a CronJob, which does not move unless its values say so."""
    labels = f'job="kube-state-metrics", instance="k:8080", namespace="{namespace}", cronjob="mlflow-cluster-{work}"'
    values = value if isinstance(value, str) else f"{value}+0{STEADY}"
    return {"series": f"{WORD}{figure}{{{labels}}}", "values": values}


def cron_job(
    work: str, *, begun_h: float, done_h: float | None, active: int = 0, **of_its: Any
) -> list[dict[str, str]]:
    """Return the figures of a CronJob whose last Job began and succeeded so many hours before they are looked at."""
    done = [] if done_h is None else [of(work, "status_last_successful_time", EVALUATED_S - done_h * HOUR_S, **of_its)]
    return [
        of(work, "created", 0, **of_its),
        of(work, "status_active", active, **of_its),
        of(work, "status_last_schedule_time", EVALUATED_S - begun_h * HOUR_S, **of_its),
        *done,
    ]


WELL = [*cron_job("backup", begun_h=5.1, done_h=5), *cron_job("verification", begun_h=0.6, done_h=0.5)]


def but(work: str, **changed: Any) -> list[dict[str, str]]:
    """Return the figures of a cluster in which one CronJob is another than it should be."""
    others = [each for each in WELL if f'cronjob="mlflow-cluster-{work}"' not in each["series"]]
    return [*others, *cron_job(work, **changed)]


CASES: dict[str, tuple[list[dict[str, str]], set[tuple[str, str]]]] = {
    "all is well": (WELL, set()),
    "a backup failed": (
        but("backup", begun_h=2, done_h=26.5),
        {("ScheduledWorkFailed", "backup"), ("BackupOld", "")},
    ),
    "a backup failed an hour ago": (but("backup", begun_h=1, done_h=25), {("ScheduledWorkFailed", "backup")}),
    "no backup was begun": (but("backup", begun_h=30, done_h=29), {("BackupOld", "")}),
    "no backup was ever done": (
        but("backup", begun_h=1, done_h=None),
        {("ScheduledWorkFailed", "backup"), ("BackupOld", "")},
    ),
    "one is under way": (but("backup", begun_h=1, done_h=25, active=1), set()),
    "a verification is red": (
        but("verification", begun_h=0.5, done_h=1.5),
        {("ScheduledWorkFailed", "verification"), ("VerificationRed", "")},
    ),
    "no verification passed for long": (
        but("verification", begun_h=0.5, done_h=4),
        {("ScheduledWorkFailed", "verification"), ("VerificationRed", ""), ("VerificationOld", "")},
    ),
    "that of another namespace failed": ([*WELL, *cron_job("backup", begun_h=1, done_h=90, namespace="b")], set()),
    "nobody has figures of CronJobs": ([], set()),
}
#: Alerts on work on schedules.
WATCHED = ("ScheduledWorkFailed", "BackupOld", "VerificationRed", "VerificationOld")


def test_each_alert_on_scheduled_work_fires_on_the_clusters_word_and_stays_quiet_else(tmp_path: Path) -> None:
    """A CronJob that failed, one that never began and one that was never done are known without a server's word."""
    if (reason := apt.why_missing({"promtool": "prometheus"})) is not None:
        pytest.skip(reason)
    found = rules(OWN, recorded(OWN, CRON_JOBS, namespace="ml", verification="verification"))
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(found))
    tests = [
        {"interval": "5m", "input_series": series, "alert_rule_test": fired(firing)}
        for series, firing in CASES.values()
    ]
    document = {"rule_files": ["rules.yml"], "evaluation_interval": "5m", "tests": tests}
    (tmp_path / "tests.yml").write_text(json.dumps(document))
    command = ["promtool", "test", "rules", "tests.yml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def fired(firing: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return what promtool has to find: these alerts, each with the work that it names, and no other."""
    return [
        {
            "eval_time": f"{EVALUATED_S}s",
            "alertname": f"Mlflow{name}",
            "exp_alerts": [expected(name, work) for fires, work in firing if fires == name],
        }
        for name in WATCHED
    ]


def expected(name: str, work: str) -> dict[str, Any]:
    """Return one alert as it is sent."""
    alert = next(each for each in ALERTS if each.name == name)
    return {
        "exp_labels": {**OWN, "severity": alert.severity, **({"work": work} if work else {})},
        "exp_annotations": {
            "summary": alert.summary.replace("{{ $labels.work }}", work),
            "runbook": alert.runbook,
        },
    }
