"""What a deployed backend on ECS tells of itself, and the exit code that follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from components.contract import ExitCode
from components.ecs import status
from components.releases.reports import Reports
from components.releases.stores import FileStore
from components.verify.model import Result
from components.verify.report import Report, now
from tests.components.ecs.test_ecs_history import deployment, service
from tests.components.ecs.test_ecs_releases import PLACE, Cloud

if TYPE_CHECKING:
    from pathlib import Path

    from components.ecs.releases import EcsReleases

SERVER = f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{PLACE.family('server')}:42"


def _deployed(tmp_path: Path, **counts: Any) -> EcsReleases:
    cloud = Cloud()
    counted = {"desiredCount": 2, "runningCount": 2, "pendingCount": 0, **counts}
    cloud.ecs.answers("DescribeServices", service({**deployment(42), "taskDefinition": SERVER}, **counted))
    cloud.ecs.answers("ListTaskDefinitions", {"taskDefinitionArns": [SERVER]})
    releases = cloud.releases
    # The recorded S3 keeps nothing; a store on AWS behaves as this one does (test_ecs_store).
    releases.reports = Reports(FileStore(tmp_path))
    return releases


def _verdict(releases: EcsReleases, verdict: Result) -> None:
    """Keep a report as another machine does: this one has no copy."""
    report = Report(url="u", profile="core", deadline_s=1, started=now(), finished=now(), verdict=verdict)
    releases.reports.save(report, copy=None)


def test_tasks_revisions_and_the_last_verdict_are_told(tmp_path: Path) -> None:
    """What somebody wants to know first, from AWS itself."""
    releases = _deployed(tmp_path)
    _verdict(releases, Result.PASS)
    told = "\n".join(status.lines(releases))
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
    assert status.exit_code(releases) is code


def test_a_service_that_is_not_there_is_told(tmp_path: Path) -> None:
    """In one line."""
    (line,) = status.lines(_deployed(tmp_path, status="INACTIVE"))
    assert "pulumi up" in line
