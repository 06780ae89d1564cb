"""What a deployed backend on ECS tells of itself, and the exit code that follows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlflow_backend.aws import parameters
from mlflow_backend.aws.connection import Connection
from mlflow_backend.contract import ExitCode
from mlflow_backend.offered import restart_database
from mlflow_backend.releases.overview import overview
from mlflow_backend.releases.reports import Reports
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report, now
from tests.components.ecs.cloud import NAMING, Cloud
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.services import deployment, service

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.ecs.platform import EcsPlatform

SERVER = f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{NAMING.family('server')}:42"


def _deployed(tmp_path: Path, **counts: Any) -> DeployedBackend:
    cloud = Cloud()
    counted = {"desiredCount": 2, "runningCount": 2, "pendingCount": 0, **counts}
    cloud.ecs.answers("DescribeServices", service({**deployment(42), "taskDefinition": SERVER}, **counted))
    cloud.ecs.answers("ListTaskDefinitions", {"taskDefinitionArns": [SERVER]})
    releases = cloud.releases
    platform = cast("EcsPlatform", releases.platform)
    platform.locator = replace(platform.locator, database="")
    # The recorded S3 keeps nothing; a store on AWS behaves as this one does (test_ecs_store).
    releases.reports = Reports(FileStore(tmp_path))
    return releases


def _verdict(releases: DeployedBackend, verdict: Result) -> None:
    """Keep a report as another machine does: this one has no copy."""
    report = Report(url="u", profile="core", deadline_s=1, started=now(), finished=now(), verdict=verdict)
    releases.reports.save(report, copy=None)


def test_tasks_revisions_and_the_last_verdict_are_reported(tmp_path: Path) -> None:
    """What somebody wants to know first, from AWS itself."""
    releases = _deployed(tmp_path)
    _verdict(releases, Result.PASS)
    told = "\n".join(overview(releases)[0])
    assert "2 of 2 tasks run" in told
    assert "revision 42   serving" in told
    assert "PASS" in told


@pytest.mark.parametrize(
    ("counts", "verdict", "code"),
    [
        ({}, Result.PASS, ExitCode.DONE),
        ({}, Result.FAIL, ExitCode.VERIFICATION_FAILED),
        ({}, Result.INCONCLUSIVE, ExitCode.INCONCLUSIVE),
        # Nobody verified yet, or the report was deleted.
        ({}, None, ExitCode.INCONCLUSIVE),
        ({"runningCount": 1}, Result.PASS, ExitCode.PLATFORM_FAILED),
        ({"desiredCount": 0, "runningCount": 0}, Result.PASS, ExitCode.PLATFORM_FAILED),
        ({"status": "INACTIVE"}, Result.PASS, ExitCode.PLATFORM_FAILED),
    ],
)
def test_tasks_decide_then_the_verdict(
    tmp_path: Path, counts: dict[str, Any], verdict: Result | None, code: ExitCode
) -> None:
    """A green report of yesterday is no answer where half the tasks are gone."""
    releases = _deployed(tmp_path, **counts)
    if verdict is not None:
        _verdict(releases, verdict)
    assert overview(releases)[1] is code


def _instance(status: str) -> Recorded:
    """RDS's answers about an instance whose parameter group is in a status."""
    groups = [{"DBParameterGroupName": "backend", "ParameterApplyStatus": status}]
    static = {"ParameterName": "max_connections", "ParameterValue": "200", "ApplyMethod": "pending-reboot"}
    dynamic = {"ParameterName": "rds.force_ssl", "ParameterValue": "1", "ApplyMethod": "immediate"}
    rds = Recorded("rds").answers("DescribeDBInstances", {"DBInstances": [{"DBParameterGroups": groups}]})
    return rds.answers("DescribeDBParameters", {"Parameters": [static, dynamic]})


def test_a_parameter_that_waits_for_a_restart_is_said_with_the_command_that_ends_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing restarts an instance by itself: without it a raised limit of connections is never in force."""
    (line,) = parameters.lines(_instance("pending-reboot").client, "backend", "eu-west-1")
    assert restart_database("backend", "eu-west-1") in line
    assert "max_connections = 200" in line
    assert "rds.force_ssl" not in line, "in force at once"
    monkeypatch.setattr(parameters, "waiting", lambda *_: (line,))
    releases = _deployed(tmp_path)
    _verdict(releases, Result.PASS)
    lines, code = overview(releases)
    assert f"database      {line}" in lines
    assert code is ExitCode.DONE, "it serves all the same"


def test_parameters_in_force_are_not_mentioned() -> None:
    """An operator reads what is to be done."""
    assert not list(parameters.lines(_instance("in-sync").client, "backend", "eu-west-1"))


def test_no_instance_is_asked_for_an_adopted_database_and_a_denied_one_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs is shown also to whoever may not ask RDS."""
    assert parameters.waiting("", Connection("eu-west-1")) == ()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    denied = Recorded("rds").answers("DescribeDBInstances", "AccessDenied").client
    monkeypatch.setattr("boto3.session.Session.client", lambda *_, **__: denied)
    (line,) = parameters.waiting("backend", Connection("eu-west-1"))
    assert "AccessDenied" in line


def test_a_service_that_is_not_there_is_reported(tmp_path: Path) -> None:
    """In one line."""
    ((line,), code) = overview(_deployed(tmp_path, status="INACTIVE"))
    assert "pulumi up" in line
    assert code is ExitCode.PLATFORM_FAILED
