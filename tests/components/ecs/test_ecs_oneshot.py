"""One-shot tasks: started once, waited for, and their report distinguished from their words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from mlflow_backend.aws.clients import Clients
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.ecs.oneshot import EcsTask, Network
from mlflow_backend.logged import split
from mlflow_backend.migrate.tool import DatabaseTool, TaskRunner
from mlflow_backend.one_shot import START_S
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.services import Time

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/backend/abc"


def task(status: str, **container: Any) -> dict[str, Any]:
    """Return an answer of DescribeTasks."""
    found = {"taskArn": ARN, "taskDefinitionArn": "mlflow-database:3", "lastStatus": status}
    return {"tasks": [{**found, "containers": [{"name": "database", **container}]}]}


@dataclass
class Aws:
    """Recorded ECS and logs."""

    ecs: Recorded = field(default_factory=lambda: Recorded("ecs"))
    logs: Recorded = field(default_factory=lambda: Recorded("logs"))
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        """A task that starts and says nothing."""
        self.ecs.answers("RunTask", {"tasks": [{"taskArn": ARN}], "failures": []})
        options = {"awslogs-group": "/tasks", "awslogs-stream-prefix": "database"}
        container = {"name": "database", "logConfiguration": {"logDriver": "awslogs", "options": options}}
        self.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {"containerDefinitions": [container]}})
        self.says([])

    def says(self, *pages: list[str]) -> None:
        """Set what the task's log holds, a page at a time."""
        answers = [
            {"events": [{"message": line} for line in page], "nextForwardToken": f"t{number}"}
            for number, page in enumerate(pages)
        ]
        self.logs.answers("GetLogEvents", *answers, {"events": [], "nextForwardToken": "end"})

    @property
    def shots(self) -> EcsTask:
        """What is under test."""
        return EcsTask(
            clients=Clients(ecs=self.ecs.client, logs=self.logs.client),
            cluster="backend",
            task_definition="mlflow-database:3",
            container="database",
            network=Network(subnets=("subnet-1",), security_groups=("sg-1",), public_address=False),
            pace=self.time.pace(),
        )


def test_a_task_is_run_once_in_the_backends_network() -> None:
    """In its own security group, without a public address, with a token so that a repeated call starts no second."""
    aws = Aws()
    aws.ecs.answers("DescribeTasks", task("PENDING"), task("RUNNING"), task("STOPPED", exitCode=0))
    aws.says(["one"], ["two"])
    finished = aws.shots.run(["python", "-m", "x"], deadline_s=60)
    assert (finished.exit_code, finished.lines) == (0, ("one", "two"))
    (call,) = aws.ecs.calls("RunTask")
    assert call["count"] == 1
    assert len(call["clientToken"]) == 32
    assert call["overrides"]["containerOverrides"] == [{"name": "database", "command": ["python", "-m", "x"]}]
    assert call["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1"],
        "securityGroups": ["sg-1"],
        "assignPublicIp": "DISABLED",
    }
    assert aws.logs.calls("GetLogEvents")[0]["logStreamName"] == "database/database/abc"


def test_a_task_that_does_not_end_is_stopped() -> None:
    """A migration that hangs must not go on behind the back of whoever gave up on it."""
    aws = Aws()
    aws.ecs.answers("DescribeTasks", task("RUNNING")).answers("StopTask", {})
    with pytest.raises(PlatformFailed, match="not ended after 60 s and was stopped"):
        aws.shots.run(["x"], deadline_s=60)
    assert aws.ecs.calls("StopTask")[0]["task"] == ARN


def test_the_start_of_a_task_does_not_count_against_its_deadline() -> None:
    """Fargate draws an interface and pulls the whole image first: minutes in which the command has not begun."""
    aws = Aws()
    looks = int(0.8 * START_S / aws.time.pace().poll_s)
    aws.ecs.answers("DescribeTasks", *[task("PENDING")] * looks, task("RUNNING"), task("STOPPED", exitCode=0))
    assert aws.shots.run(["x"], deadline_s=60).exit_code == 0
    assert not aws.ecs.calls("StopTask")


def test_a_task_that_never_starts_is_stopped() -> None:
    """An image that cannot be pulled for ever is no reason to wait for ever."""
    aws = Aws()
    aws.ecs.answers("DescribeTasks", task("PENDING")).answers("StopTask", {})
    with pytest.raises(PlatformFailed, match=f"not started after {START_S:.0f} s and was stopped"):
        aws.shots.run(["x"], deadline_s=60)
    assert aws.ecs.calls("StopTask")


@pytest.mark.parametrize("status", ["RUNNING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "STOPPED"])
@pytest.mark.parametrize("code", [0, 7])
def test_the_end_is_the_exit_code_whatever_the_task_is_called(status: str, code: int) -> None:
    """Fargate takes a while from a container's end to STOPPED; a failure is reported without it."""
    aws = Aws()
    aws.ecs.answers("DescribeTasks", task(status, exitCode=code, lastStatus="STOPPED"))
    assert aws.shots.run(["x"], deadline_s=60).exit_code == code
    assert len(aws.ecs.calls("DescribeTasks")) == 1


@pytest.mark.parametrize("status", ["STOPPING", "DEPROVISIONING", "STOPPED"])
def test_a_container_that_never_ran_ends_the_wait(status: str) -> None:
    """An image that cannot be pulled has no exit code."""
    aws = Aws()
    aws.ecs.answers("DescribeTasks", task(status, lastStatus="STOPPED", reason="CannotPullContainerError"))
    finished = aws.shots.run(["x"], deadline_s=60)
    assert (finished.exit_code, finished.reasons) == (None, ("CannotPullContainerError",))


def test_a_task_that_ecs_does_not_start_is_reported() -> None:
    """The message has ECS's own words."""
    aws = Aws()
    aws.ecs.answers("RunTask", {"tasks": [], "failures": [{"reason": "RESOURCE:ENI", "detail": "no address left"}]})
    with pytest.raises(PlatformFailed, match="RESOURCE:ENI no address left"):
        aws.shots.run(["x"], deadline_s=60)


def test_a_task_may_be_found_late_but_not_never() -> None:
    """DescribeTasks lags behind RunTask."""
    aws = Aws()
    aws.ecs.answers("DescribeTasks", {"tasks": []}, {"tasks": []}, task("STOPPED", exitCode=3))
    assert aws.shots.run(["x"], deadline_s=600).exit_code == 3
    never = Aws()
    never.ecs.answers("DescribeTasks", {"tasks": []})
    with pytest.raises(PlatformFailed, match="cannot be found"):
        never.shots.run(["x"], deadline_s=600)


@pytest.mark.parametrize(
    ("lines", "output", "log"),
    [
        (["mlflow-backend db: working", "{", ' "a": 1', "}"], '{\n "a": 1\n}', "mlflow-backend db: working"),
        (["{", ' "a": {', " }", "}", "goodbye"], '{\n "a": {\n }\n}', "goodbye"),
        (["{", '"of": "an earlier one"', "}", "{", '"b": 2', "}"], '{\n"b": 2\n}', '{\n"of": "an earlier one"\n}'),
        (["Traceback", "ValueError"], "", "Traceback\nValueError"),
        ([], "", ""),
    ],
)
def test_a_report_is_distinguished_from_words(lines: list[str], output: str, log: str) -> None:
    """CloudWatch keeps both streams in one; the report is the last document."""
    assert split(lines) == (output, log)


def _database_task(aws: Aws) -> TaskRunner:
    return TaskRunner(aws.shots)


def test_the_database_tool_runs_as_a_task() -> None:
    """Its typed calls work on this target as on any: command, exit code and report pass through."""
    aws = Aws()
    report = {"databases": {"tracking": {"applied": ["abc", "def"]}}, "exit_code": 0}
    aws.ecs.answers("DescribeTasks", task("STOPPED", exitCode=0))
    aws.says(["mlflow-backend db: upgrading", *json.dumps(report, indent=2).splitlines()])
    assert DatabaseTool(_database_task(aws)).upgrade() == ("abc", "def")
    command = aws.ecs.calls("RunTask")[0]["overrides"]["containerOverrides"][0]["command"]
    assert command[:4] == ["python", "-m", "mlflow_backend_server.db", "upgrade"]


def test_a_database_task_that_never_ran_is_reported_with_the_reason() -> None:
    """An image that cannot be pulled is no verdict on the database."""
    aws = Aws()
    answer = task("STOPPED")
    answer["tasks"][0]["stoppedReason"] = "CannotPullContainerError: not found"
    aws.ecs.answers("DescribeTasks", answer)
    with pytest.raises(PlatformFailed, match="never ran: CannotPullContainerError: not found"):
        _database_task(aws).run(["status"], deadline_s=60)


def test_a_database_task_without_a_report_shows_its_last_words_without_passwords() -> None:
    """A crash is reported by its log."""
    aws = Aws()
    aws.ecs.answers("DescribeTasks", task("STOPPED", exitCode=1))
    aws.says(["cannot reach postgresql://mlflow:hunter2@db/x"])
    with pytest.raises(PlatformFailed, match=r"mlflow:\*\*\*@db"):
        DatabaseTool(_database_task(aws)).status()
