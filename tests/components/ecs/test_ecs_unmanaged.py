"""A rollback of a service that Pulumi does not manage: the command, against a service that really switches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws import clients
from mlflow_backend.aws.clients import Clients
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.log_group import LogGroup
from mlflow_backend.commands import rollback
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.ecs import unmanaged
from mlflow_backend.ecs.history import ServiceName, container_of
from mlflow_backend.verification import execution
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report, now
from tests.components.ecs.recorded import REGION, Recorded
from tests.components.ecs.services import definition_arn, deployment, service

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.verify.subjects import Subject

HEAD_2_9_2, HEAD_3_4_0 = "acf3f17fdcc7", "71994744cf8e"
LIES = {"awsvpcConfiguration": {"subnets": ["s-1"], "securityGroups": ["sg-1", "sg-2"], "assignPublicIp": "DISABLED"}}


class World:
    """A service at revision 42 (MLflow 3.4.0), which was at 41 (3.4.0) and 40 (2.9.2), in AWS as it is recorded."""

    def __init__(self) -> None:
        """Everything serves."""
        self.ecs, self.logs = Recorded("ecs"), Recorded("logs")
        numbers = {40: "2.9.2", 41: "3.4.0", 42: "3.4.0"}
        self.ecs.answers("ListTaskDefinitions", {"taskDefinitionArns": [definition_arn(each) for each in numbers]})
        self.ecs.answers("UpdateService", {})
        self.ecs.answers("RunTask", {"tasks": [], "failures": [{"reason": "RESOURCE:CPU"}]})
        self.serves(42)
        events = self.ecs.client.meta.events
        events.register("provide-client-params.ecs.UpdateService", self._switch)
        self.ecs.answers_by("DescribeTaskDefinition", lambda params: self._described(params, numbers))

    def serves(self, number: int) -> None:
        """Let the service serve a revision."""
        self.ecs.answers("DescribeServices", service(deployment(number), networkConfiguration=LIES))

    def _switch(self, params: dict[str, Any], **_: Any) -> None:
        self.serves(int(params["taskDefinition"].rpartition(":")[2]))

    def _described(self, params: dict[str, Any], numbers: dict[int, str]) -> dict[str, Any]:
        number = int(params["taskDefinition"].rpartition(":")[2])
        container = {"name": "mlflow", "image": f"ghcr.io/mlflow/mlflow:v{numbers[number]}"}
        definition = {
            "taskDefinitionArn": definition_arn(number),
            "status": "ACTIVE",
            "containerDefinitions": [container],
        }
        return {"taskDefinition": definition}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Recorded AWS instead of the real one."""
    made = World()

    def connect(connection: Connection) -> Clients:
        assert connection == Connection(REGION)
        return Clients(ecs=made.ecs.client, logs=made.logs.client)

    monkeypatch.setattr(clients, "connect", connect)
    return made


def _run(folder: Path, *arguments: str) -> ExitCode:
    command = ["--cluster", "backend", "--service", "server", "--region", REGION, *arguments]
    return rollback.main(command, root=folder)


def test_with_the_head_said_a_rollback_to_the_same_schema_is_done_and_not_pinned(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The service uses exactly that revision; it is verified by the URL that was given; nothing is registered."""
    asked: list[Subject] = []

    def verify(subject: Subject, *_: object, **__: object) -> Report:
        asked.append(subject)
        return Report(url=subject.url, profile="core", deadline_s=1, started=now(), finished=now(), verdict=Result.PASS)

    monkeypatch.setattr(execution.runner, "run", verify)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "s3cret-token")
    code = _run(tmp_path, "--to", "41", "--live-head", HEAD_3_4_0, "--url", "http://mlflow.example", "--yes")
    said = capsys.readouterr()
    assert code is ExitCode.DONE, said.err
    assert [call["taskDefinition"] for call in world.ecs.calls("UpdateService")] == ["mlflow:41"]
    assert not world.ecs.calls("RegisterTaskDefinition")
    assert "Revision 41 (MLflow 3.4.0) serves; verified." in said.out
    assert "pinned" not in said.out
    (subject,) = asked
    assert (subject.expected_revision, subject.expected_version) == ("41", "3.4.0")
    assert subject.credentials == {"token": "env:MLFLOW_TRACKING_TOKEN"}
    assert not list(tmp_path.rglob("_backend/ledger/*"))


def test_an_unknown_schema_is_blocked(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where no task can ask and nobody says it: a guess would be made with somebody's data."""
    assert _run(tmp_path, "--to", "41", "--no-verify", "--yes") is ExitCode.REFUSED
    said = capsys.readouterr().err
    assert "BLOCKED" in said
    assert "--live-head REV" in said
    assert "RESOURCE:CPU" in said
    assert not world.ecs.calls("UpdateService")


def test_an_older_version_on_a_newer_schema_is_blocked(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is no dump that could be restored."""
    assert _run(tmp_path, "--to", "40", "--live-head", HEAD_3_4_0, "--no-verify", "--yes") is ExitCode.REFUSED
    assert "BLOCKED" in capsys.readouterr().err
    assert not world.ecs.calls("UpdateService")


def test_a_task_beside_the_server_says_the_schema_where_the_image_has_the_tool(world: World, tmp_path: Path) -> None:
    """In the serving revision's own image, its subnets and its security groups."""
    report = {
        "mlflow_version": "3.4.0", "exit_code": 0,
        "databases": {"tracking": {
            "database": "m", "direction": "equal", "reason": "", "head": HEAD_3_4_0, "expected_head": HEAD_3_4_0,
            "pending": [],
        }},
    }  # fmt: skip
    arn = f"arn:aws:ecs:{REGION}:1:task/c/t"
    world.ecs.answers("RunTask", {"tasks": [{"taskArn": arn}], "failures": []})
    stopped = {
        "taskArn": arn, "taskDefinitionArn": definition_arn(42), "lastStatus": "STOPPED",
        "containers": [{"name": "mlflow", "exitCode": 0}],
    }  # fmt: skip
    world.ecs.answers("DescribeTasks", {"tasks": [stopped]})
    events = [{"message": line} for line in json.dumps(report, indent=2).splitlines()]
    address = (LogGroup(client=world.logs.client, name="/g"), "mlflow/mlflow/t")
    world.logs.answers(
        "GetLogEvents", {"events": events, "nextForwardToken": "1"}, {"events": [], "nextForwardToken": "1"}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mlflow_backend.ecs.reasons.log_address", lambda *_: address)
        assert _run(tmp_path, "--to", "41", "--no-verify", "--dry-run") is ExitCode.DONE
    (ran,) = world.ecs.calls("RunTask")
    assert ran["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] == ["sg-1", "sg-2"]
    assert ran["taskDefinition"] == definition_arn(42)
    assert not world.ecs.calls("UpdateService")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--to", "41"], "--url"),
        (["--no-verify"], "--to is needed"),
        (["--to", "41", "--no-verify", "--stack", "dev"], "without --stack"),
        (["--to", "41", "--no-verify", "--restore"], "need a ledger"),
    ],
)
def test_what_means_nothing_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], why: str
) -> None:
    """Before anything is asked."""
    with pytest.raises(SystemExit) as ended:
        _run(tmp_path, *arguments)
    assert ended.value.code == ExitCode.USAGE
    assert why in capsys.readouterr().err


def test_options_of_a_service_need_a_service(capsys: pytest.CaptureFixture[str]) -> None:
    """A stack's schema is asked, not told."""
    with pytest.raises(SystemExit):
        rollback.main(["--stack", "dev", "--live-head", HEAD_3_4_0])
    assert "go with --service" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        rollback.main([])
    assert "--stack" in capsys.readouterr().err


def test_a_service_that_is_not_there_is_refused(world: World, tmp_path: Path) -> None:
    """The message has its name."""
    world.ecs.answers("DescribeServices", {"services": []})
    assert _run(tmp_path, "--to", "41", "--no-verify", "--yes") is ExitCode.REFUSED


def test_aws_that_denies_is_a_failure_of_the_platform_in_a_sentence(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No traceback in an incident."""
    world.ecs.answers("DescribeServices", "AccessDeniedException")
    assert _run(tmp_path, "--to", "41", "--no-verify", "--yes") is ExitCode.PLATFORM_FAILED
    assert "AccessDeniedException" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("ghcr.io/mlflow/mlflow:v2.9.2", "2.9.2"), ("r:5000/mlflow:3.4.0@sha256:abc", "3.4.0"),
        ("r:5000/mlflow:latest", "unknown"), ("r:5000/mlflow@sha256:abc", "unknown"), ("r/mlflow:3.4.0-rc1", "unknown"),
    ],
)  # fmt: skip
def test_a_foreign_revisions_version_is_its_tag_or_unknown(image: str, version: str) -> None:
    """Nothing is guessed."""
    assert container_of({"containerDefinitions": [{"image": image}]}).release("1").mlflow_version == version


def test_what_needs_a_backend_of_ours_is_refused(world: World, tmp_path: Path) -> None:
    """A plan never asks for it; whoever calls it all the same gets an error."""
    name = ServiceName(region=REGION, cluster="c", service="s")
    made = unmanaged.open_service(name, clients=Clients(ecs=world.ecs.client, logs=world.logs.client), folder=tmp_path)
    for call in (
        made.undo_restore,
        made.platform.stop_servers,
        lambda: made.release("41", verification_id="", verdict=""),
    ):
        with pytest.raises(Refused, match="not managed by this project"):
            call()
