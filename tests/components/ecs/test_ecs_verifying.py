"""Verification on ecs: from here or from inside the network, with the same checks, and red ones counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import urllib3

from mlflow_backend.aws import clients
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render import alarms
from mlflow_backend.aws.secrets import IN_FORCE
from mlflow_backend.codec import to_document
from mlflow_backend.ecs.locator import EcsLocator, locator_of
from mlflow_backend.ecs.oneshot import Network
from mlflow_backend.ecs.platform import EcsPlatform
from mlflow_backend.ecs.render import tasks
from mlflow_backend.releases.targets import open_releases
from mlflow_backend.verification import execution, inside
from mlflow_backend.verify import job
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report, now
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from tests.components.ecs.cloud import Cloud
from tests.components.ecs.stacks import container_of, naming_of, settings_of, store_of, tasks_of
from tests.components.verify.fake_mlflow import FakeMLflow

NAMING = naming_of("dev")
ARN = "arn:aws:secretsmanager:eu-west-1:1:secret:s-AbCdEf"
# In the task there is boto3; here one that has the job's file for a bucket.
BOTO3 = """
import io, pathlib
class _Client:
    def get_object(self, Bucket, Key):
        return {"Body": io.BytesIO(pathlib.Path(Bucket, Key).read_bytes())}
def client(service):
    return _Client()
"""


def _locator(url: str, *, inside: bool, secret: str = ARN) -> EcsLocator:
    found = locator_of(
        settings_of("dev"),
        NAMING,
        Connection(NAMING.region),
        store=store_of("dev"),
        network=Network(subnets=("subnet-1",), security_groups=("sg-1",), public_address=True),
        url=url,
        secret=secret,
    )
    return replace(found, access="basic" if secret else "none", inside=inside, database="")


def _subject(url: str, *, inside: bool, secret: str = ARN) -> Subject:
    where = _locator(url, inside=inside, secret=secret)
    return Subject(url=url, expected_version="3.17.2", expected_revision="7", locator=where, report_path="/nowhere")


def _report(verdict: Result) -> Report:
    return Report(url="http://x", profile="core", deadline_s=1, started=now(), finished=now(), verdict=verdict)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """Recorded AWS instead of the real one."""
    made = Cloud()
    connections = clients.Connections(
        clients=clients.Clients(ecs=made.ecs.client, logs=made.logs.client),
        scaling=made.scaling.client,
        store=made.s3.client,
    )
    monkeypatch.setattr(clients, "connections", lambda _: connections)
    monkeypatch.setattr(clients, "connect", lambda _: connections.clients)
    monkeypatch.setattr(EcsPlatform, "serving", lambda _: "7")
    made.logs.answers("CreateLogStream", {}).answers("PutLogEvents", {})
    return made


def _says(cloud: Cloud, lines: list[str], *, exit_code: int = 0) -> None:
    answer = cloud.ecs.client.describe_tasks(tasks=["t"])
    answer["tasks"][0]["containers"] = [{"name": "verify", "exitCode": exit_code}]
    cloud.ecs.answers("DescribeTasks", {"tasks": answer["tasks"]})
    definition = cloud.ecs.client.describe_task_definition(taskDefinition="t")["taskDefinition"]
    definition["containerDefinitions"][0]["name"] = "verify"
    cloud.ecs.answers("DescribeTaskDefinition", {"taskDefinition": definition})
    events, last = [{"message": line} for line in lines], {"nextForwardToken": "1"}
    cloud.logs.answers("GetLogEvents", {"events": events, **last}, {"events": [], **last})


def test_behind_an_internal_balancer_a_task_runs_the_checks(cloud: Cloud) -> None:
    """Its report is the verdict, read from its log; the job is taken out of the bucket again."""
    told = replace(_report(Result.PASS), served_revision="7")
    _says(cloud, [job.verdict_line(told), *told.json().splitlines()])
    begun: list[Report] = []
    report = execution.run(_subject("http://internal.example", inside=True), begun=begun.append)
    assert report == told
    assert [each.verdict for each in begun] == [None]
    (ran,) = cloud.ecs.calls("RunTask")
    assert ran["taskDefinition"] == NAMING.family("verify")
    assert ran["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] == ["sg-1"]
    command = ran["overrides"]["containerOverrides"][0]["command"]
    assert len(json.dumps(ran["overrides"])) < 8192, "ECS takes no longer overrides"
    (put,), (deleted,) = cloud.s3.calls("PutObject"), cloud.s3.calls("DeleteObject")
    assert put["Key"] == deleted["Key"] == command[-2]
    assert put["Key"].startswith("_backend/verify/")


def test_a_task_that_says_nothing_is_inconclusive_and_counted(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The backend may be well: nothing is rolled back for it, but somebody learns of it."""
    monkeypatch.setattr("mlflow_backend.ecs.oneshot._LOG_LAG_S", 0)
    _says(cloud, ["Traceback", "ModuleNotFoundError: urllib3"], exit_code=1)
    report = execution.run(_subject("http://internal.example", inside=True))
    assert report.verdict is Result.INCONCLUSIVE
    assert "urllib3" in report.checks[0].cause
    assert _counted(cloud)["verdict"] == "inconclusive"


def _counted(cloud: Cloud) -> dict[str, Any]:
    (put,) = cloud.logs.calls("PutLogEvents")
    assert put["logGroupName"] == NAMING.log_group("tasks")
    line: dict[str, Any] = json.loads(put["logEvents"][0]["message"])
    return line


@pytest.mark.parametrize("verdict", list(Result))
def test_a_red_verdict_from_here_is_counted_for_the_alarm(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, verdict: Result
) -> None:
    """As one line that the metric filter's pattern matches; a green one is not."""
    monkeypatch.setattr(execution.runner, "run", lambda *_, **__: _report(verdict))
    assert execution.run(_subject("http://public.example", inside=False)).verdict is verdict
    if verdict is Result.PASS:
        assert not cloud.logs.calls("PutLogEvents")
        return
    line = _counted(cloud)
    assert line["verdict"] == verdict.value
    if verdict in {Result.FAIL, Result.INCONCLUSIVE}:
        assert f'$.verdict = "{verdict.value}"' in alarms.COUNTED["verification-red"].pattern


def test_a_count_that_fails_does_not_change_the_verdict(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """The alarm is about the verdict, not the verdict about the alarm."""
    monkeypatch.setattr(execution.runner, "run", lambda *_, **__: _report(Result.FAIL))
    cloud.logs.answers("CreateLogStream", "AccessDeniedException")
    assert execution.run(_subject("http://public.example", inside=False)).verdict is Result.FAIL


def test_a_refresh_counts_nothing(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the checks says nothing about the backend as a whole."""
    monkeypatch.setattr(execution.runner, "run", lambda *_, **__: _report(Result.FAIL))
    execution.run(_subject("http://public.example", inside=False), VerifyRequest(only=("health",)))
    assert not cloud.logs.calls("PutLogEvents")


def _in_a_task(folder: Path, command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run the task's command as the image would: urllib3 and boto3 are there, and nothing of this project."""
    site = folder / "site"
    site.mkdir()
    (site / "boto3.py").write_text(BOTO3, encoding="utf-8")
    (site / "urllib3").symlink_to(Path(urllib3.__file__).parent)
    return subprocess.run(
        [sys.executable, "-S", *command[1:]],
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_tasks_command_runs_the_same_checks_and_prints_their_report(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The very command that is sent to ECS, with the very job, against a server: what comes back is a report."""
    with FakeMLflow() as fake:
        subject = _subject(fake.url, inside=True, secret="")
        _says(cloud, ["nothing"])
        monkeypatch.setattr("mlflow_backend.ecs.oneshot._LOG_LAG_S", 0)
        execution.run(subject)
        override = cloud.ecs.calls("RunTask")[0]["overrides"]["containerOverrides"][0]["command"]
        (put,) = cloud.s3.calls("PutObject")
        (tmp_path / "b" / put["Key"]).parent.mkdir(parents=True)
        (tmp_path / "b" / put["Key"]).write_bytes(put["Body"])
        command = tuple(str(tmp_path / "b") if part == store_of("dev").bucket else part for part in override)
        done = _in_a_task(tmp_path, command)
        assert done.returncode == 0, done.stderr
        verdict, _, rest = done.stdout.partition("\n")
        report = Report.from_document(json.loads(rest))
        assert json.loads(verdict)["verdict"] == "pass", report.text()
        assert report.result_of("revision").sentence == "revision 7 runs, as intended"
        changed = (*command[:-1], "0" * 64)
        (tmp_path / "again").mkdir()
        assert "was changed on its way" in _in_a_task(tmp_path / "again", changed).stderr


def test_a_job_names_its_credentials_by_the_tasks_own_variables(cloud: Cloud) -> None:
    """No value and no ARN: the execution role hands them over."""
    del cloud
    platform = open_releases(_locator("http://x", inside=True)).platform
    shot = platform.inside()
    assert shot is not None
    subject = inside._as_known_inside(platform, shot, _subject("http://x", inside=True))
    assert subject.credentials == {
        "username": "env:MLFLOW_BACKEND_PROBE_USERNAME",
        "password": "env:MLFLOW_BACKEND_PROBE_PASSWORD",
    }
    assert ARN not in json.dumps(to_document(job.job_of(subject, VerifyRequest(deadline_s=1))))


def test_with_api_keys_the_verification_has_one_of_its_own() -> None:
    """The users' kind of credential, by reference: here the secret's, there the task's own variable."""
    locator = replace(_locator("http://x", inside=True), access="token")
    assert locator.credentials == {"token": f"secretsmanager:{ARN}#verification-api-key"}
    assert locator.credentials_inside == {"token": "env:MLFLOW_BACKEND_PROBE_TOKEN"}
    (secret,) = container_of(tasks_of("token")[tasks.VERIFY])["secrets"]
    assert secret["name"] == "MLFLOW_BACKEND_PROBE_TOKEN"
    assert secret["valueFrom"].endswith(f":verification-api-key:{IN_FORCE}:")


def test_equal_jobs_are_equal_bytes() -> None:
    """Whoever looks at the bucket can tell what ran by its digest."""
    wish = job.job_of(Subject(url="http://x"), VerifyRequest(deadline_s=1))
    assert job.bundle(wish) == job.bundle(wish)
