"""What takes backups on ECS: the schedule, the tool, and its task."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws.render.scheduler import expression
from mlflow_backend.backup import job
from mlflow_backend.backup.task import Given
from mlflow_backend.backup.task_backups import TaskBackups
from mlflow_backend.backup.tool import DEADLINE_S, content
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.oneshot import EcsTask
from mlflow_backend.ecs.platform import EcsPlatform
from mlflow_backend.ecs.reasons import outcome_of
from mlflow_backend.ecs.refusals import refuse_unsupported
from mlflow_backend.ecs.render import roles, scheduled, tasks
from mlflow_backend.kubernetes.render.secrets import ALWAYS
from mlflow_backend.releases.lease import LEASE
from mlflow_backend.schedules import BACKUP
from mlflow_backend.target import Finished
from tests.components.ecs.cloud import LOCATOR
from tests.components.ecs.stacks import container_of, naming_of, secret_arn, settings_of, store_of, tasks_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.settings import Settings

VARIANT = "everything"
NAMING = naming_of(VARIANT)


@pytest.mark.parametrize(
    ("schedule", "written"),
    [
        ("0 2 * * *", "cron(0 2 * * ? *)"),
        ("30 1,13 * * *", "cron(30 1,13 * * ? *)"),
        ("*/30 * * * *", "cron(0,30 * * * ? *)"),
        ("0 4 * * 0", "cron(0 4 ? * SUN *)"),
        ("0 4 * * 7", "cron(0 4 ? * SUN *)"),
        ("0 4 * * 1-5", "cron(0 4 ? * MON,TUE,WED,THU,FRI *)"),
        ("0 4 * * mon,fri", "cron(0 4 ? * MON,FRI *)"),
        ("0 4 1,15 * *", "cron(0 4 1,15 * ? *)"),
        ("0 4 1 */3 *", "cron(0 4 1 1,4,7,10 ? *)"),
        ("0 4 1 * 1", None),
    ],
)
def test_a_schedule_means_the_same_to_the_platforms_scheduler(schedule: str, written: str | None) -> None:
    """It counts the days of the week from another one, and takes days of the month or of the week, not both."""
    assert expression(schedule) == written


def test_without_a_schedule_one_can_still_be_taken() -> None:
    """`never` leaves out the schedule alone; without a destination there is no task."""
    settings = settings_of(VARIANT)
    assert scheduled.expressions(settings)["backup"] == "cron(0 2 * * ? *)"
    never = _with(settings, schedule="never")
    assert "backup" not in scheduled.expressions(never)
    assert BACKUP in tasks_of(VARIANT, settings=never)
    assert BACKUP not in tasks_of("staging")
    assert scheduled.expressions(settings_of("staging")) == {}


def test_the_task_has_secrets_by_reference_and_its_tool_by_digest() -> None:
    """Another job is another object, so that a task that starts meanwhile finds its own."""
    container = container_of(tasks_of(VARIANT)[BACKUP])
    references = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    assert {job.variable(name) for name in tasks.BACKED_UP} | {"PGPASSWORD"} <= references.keys()
    assert "admin-password" in references[job.variable("admin-password")]
    assert not {name for name in references if "ADMIN_USER" in name and "BACKED_UP" not in name}
    tool = _tool(settings_of(VARIANT))
    assert container["command"][-2:] == [tool.bucket, tool.key]
    other = _tool(_with(settings_of(VARIANT), destination="s3://third/team"))
    assert other.key != tool.key


def test_hashes_of_api_keys_are_backed_up_as_a_whole() -> None:
    """With access by them; whoever starts the task may read that secret too."""
    settings = settings_of(VARIANT)
    by_keys = settings.model_copy(update={"access": settings.access.model_copy(update={"mode": "token"})})
    refuse_unsupported(by_keys)
    container = container_of(tasks_of(VARIANT, settings=by_keys)[BACKUP])
    references = {each["name"]: each["valueFrom"] for each in container["secrets"]}
    assert references[job.variable("api-keys")] == secret_arn(NAMING, "api-keys")
    assert Given({job.variable("api-keys"): "x"}).read() == {"api-keys": "x"}
    (start,) = (role for role in roles.roles(by_keys, NAMING) if role.part == "backup-execution")
    assert "api_keys" in start.given
    basic = container_of(tasks_of(VARIANT)[BACKUP])["secrets"]
    assert job.variable("api-keys") not in {each["name"] for each in basic}


def test_the_tool_is_what_the_task_unpacks() -> None:
    """Modules, the job and the stack's settings; its job names the stack's own root at the destination."""
    tool = _tool(settings_of(VARIANT))
    packed = zipfile.ZipFile(io.BytesIO(content(tool.program, tool.job, tool.settings, cloud="aws")))
    assert {"mlflow_backend/aws/backup_task.py", job.JOB, job.SETTINGS} <= set(packed.namelist())
    found = json.loads(packed.read(job.JOB))
    assert (found["target"], found["destination"]["bucket"], found["destination"]["root"]) == (
        "ecs", "elsewhere", f"team/{VARIANT}",
    )  # fmt: skip


def test_no_backup_outlasts_its_lock() -> None:
    """A second one would begin beside it."""
    assert LEASE.total_seconds() > DEADLINE_S


def test_the_task_reads_its_secrets_by_their_names() -> None:
    """What is sealed has the names that a restore asks for, a cluster's too, and nothing else of the environment."""
    assert set(tasks.BACKED_UP) == set(ALWAYS)
    given = {job.variable(name): name for name in tasks.BACKED_UP} | {"PGPASSWORD": "no"}
    assert Given(given).read() == {name: name for name in tasks.BACKED_UP}


NOW = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"lastStatus": "RUNNING"}, "under way since 2026-11-29 02:00:00Z"),
        ({"lastStatus": "STOPPED", "containers": [{"exitCode": 0}]}, "done, begun 2026-11-29 02:00:00Z"),
        (
            {"lastStatus": "STOPPED", "containers": [{"exitCode": 4}], "stoppedReason": "Essential container exited"},
            "failed, begun 2026-11-29 02:00:00Z (exit code 4): Essential container exited",
        ),
        (
            {"lastStatus": "STOPPED", "containers": [{}], "stoppedReason": "CannotPullContainerError"},
            "failed, begun 2026-11-29 02:00:00Z (exit code None): CannotPullContainerError",
        ),
    ],
)
def test_status_says_how_the_last_task_went(task: dict[str, Any], words: str) -> None:
    """One that never ran is failed by ECS's own words."""
    assert outcome_of({"createdAt": NOW, **task}) == words


def _tool(settings: Settings) -> Tool:
    return scheduled.tools(settings, NAMING)[BACKUP](store_of(VARIANT), "")


def _with(settings: Settings, **changes: Any) -> Settings:
    return settings.model_copy(update={"backup": settings.backup.model_copy(update=changes)})


class _Ecs:
    """ECS as far as a backup asks it."""

    def __init__(self, *tasks: dict[str, Any]) -> None:
        self._tasks = tasks

    def describe_task_definition(self, **_: Any) -> dict[str, Any]:
        return {"taskDefinition": {"containerDefinitions": [{"command": ["python", "-c", "program"]}]}}

    def list_tasks(self, **asked: Any) -> dict[str, Any]:
        found = [
            each for each in self._tasks if (each["lastStatus"] == "STOPPED") == (asked["desiredStatus"] == "STOPPED")
        ]
        return {"taskArns": [each["taskArn"] for each in found]}

    def describe_tasks(self, **asked: Any) -> dict[str, Any]:
        return {"tasks": [each for each in self._tasks if each["taskArn"] in asked["tasks"]]}


def _backups(ecs: _Ecs, *, family: str = "backup-family") -> TaskBackups:
    connections: Any = SimpleNamespace(clients=SimpleNamespace(ecs=ecs), scaling=None, store=None)
    return TaskBackups(EcsPlatform(replace(LOCATOR, backup_family=family), connections), Path("Pulumi.dev.yaml"))


def _take(taken: TaskBackups, *, dry_run: bool = False) -> Any:
    nowhere: Any = None
    return taken.take(nowhere, recovery_key="age1", dry_run=dry_run, say=lambda _: None)


def test_the_command_runs_what_the_definition_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tool is that of the last update, and its report is found in the log."""
    ran: list[Sequence[str]] = []

    def run(_self: object, command: Sequence[str], **_how: object) -> Finished:
        ran.append(command)
        return Finished(exit_code=0, lines=("dumping", "{", ' "exit_code": 0', "}"), reasons=())

    monkeypatch.setattr(EcsTask, "run", run)
    assert _take(_backups(_Ecs())) == {"exit_code": 0}
    _take(_backups(_Ecs()), dry_run=True)
    assert ran == [("python", "-c", "program"), ("python", "-c", "program", "--dry-run")]


def test_a_backend_without_the_task_takes_none() -> None:
    """The setting is new, and no update has made the task yet."""
    with pytest.raises(Refused) as refused:
        _take(_backups(_Ecs(), family=""))
    assert refused.value.code == "backup-not-deployed"
    assert _backups(_Ecs(), family="").schedules() == {}


def test_status_shows_the_newest_task() -> None:
    """Until ECS has forgotten it."""
    older = {
        "taskArn": "1",
        "lastStatus": "STOPPED",
        "createdAt": NOW - timedelta(hours=1),
        "containers": [{"exitCode": 4}],
    }
    newer = {"taskArn": "2", "lastStatus": "STOPPED", "createdAt": NOW, "containers": [{"exitCode": 0}]}
    assert _backups(_Ecs(older, newer)).schedules() == {"backup": outcome_of(newer)}
    assert "newest backup" in _backups(_Ecs()).schedules()["backup"]
