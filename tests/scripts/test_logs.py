"""The command that shows last lines: files of local programs, and CloudWatch's streams of tasks on emulated AWS."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from mlflow_backend.commands import logs
from mlflow_backend.commands.stacks import Stack
from mlflow_backend.contract import ExitCode
from mlflow_backend.ecs.render.tasks import DATABASE, SERVER, TASKS
from mlflow_backend.local import credentials
from mlflow_backend.local.state import StateDir
from tests.components.ecs.cloud import LOCATOR
from tests.components.ecs.stacks import naming_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

REGION = LOCATOR.service.region
NAMING = naming_of(LOCATOR.stack)
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """A folder with a local backend whose database and server have written something, and a stack without one."""
    (tmp_path / "Pulumi.other.yaml").write_text("config:\n  mlflow-backend:target: local\n", encoding="utf-8")
    state = StateDir(tmp_path / ".backend" / "local")
    state.logs.mkdir(parents=True)
    (state.logs / "database.log").write_text("one\ntwo\nthree\n")
    (state.logs / "server-00001.log").write_text("")
    state.credentials.mkdir()
    (state.credentials / credentials.DATABASE_ADMIN).write_text("three")
    return tmp_path


def test_local_programs_show_their_last_lines_without_secrets(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every program by default; what is in a credential's file is blanked."""
    assert logs.main(["--lines", "2"], root=local) is ExitCode.DONE
    shown = capsys.readouterr().out
    assert "database (" in shown
    assert "two" in shown
    assert "one" not in shown
    assert "three" not in shown
    assert "(it wrote nothing)" in shown


def test_a_stack_that_is_down_says_so(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing at all could be taken for a failure; its logs went with it."""
    shutil.rmtree(local / ".backend" / "local" / "logs")
    assert logs.main([], root=local) is ExitCode.DONE
    assert "none runs" in capsys.readouterr().out


def noted(hour: int, **said: Any) -> str:
    """A line of the audit as a server writes it."""
    entry = {"time": f"2026-01-01T{hour:02}:00:00.000Z", "kind": "audit", **said}
    return json.dumps(entry, separators=(",", ":"))


CHANGE = {
    "identity": "ann", "verified": True, "client": "203.0.113.7", "path": "/p", "status": 200, "request_id": "r",
    "action": "POST /api/2.0/mlflow/registered-models/alias",
    "about": {"name": "m", "alias": "champion", "version": "3"},
}  # fmt: skip
SHOWN = "203.0.113.7 POST /api/2.0/mlflow/registered-models/alias 200 name=m alias=champion version=3"
KEYS = {"action": "API keys", "about": {"came": "", "went": "trainer"}}


def test_the_audit_is_the_history_of_all_servers(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In order of time over all revisions, with who and what; what each worker saw is one line."""
    state = StateDir(local / ".backend" / "local")
    first = [noted(1, **CHANGE), "garbage", '{"kind":"audit"', '{"kind":"access"}', noted(4, **KEYS), noted(4, **KEYS)]
    (state.logs / "server-00001.log").write_text("\n".join(first))
    (state.logs / "server-00002.log").write_text(noted(3, **{**CHANGE, "verified": False, "status": 401, "about": {}}))
    assert logs.main(["--audit"], root=local) is ExitCode.DONE
    assert capsys.readouterr().out.splitlines() == [
        f"2026-01-01T01:00:00.000Z ann {SHOWN}",
        "2026-01-01T03:00:00.000Z ann (not verified) 203.0.113.7 POST /api/2.0/mlflow/registered-models/alias 401 /p",
        "2026-01-01T04:00:00.000Z API keys went=trainer",
    ]


def test_no_audit_is_said(local: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An empty answer could be taken for a failure."""
    assert logs.main(["--audit"], root=local) is ExitCode.DONE
    assert "No server has noted a change." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["databse"], ExitCode.USAGE, "There is no part databse. Name one of: database, server-00001."),
        (["--tasks"], ExitCode.USAGE, "has no one-shot tasks"),
        (["--stack", "other"], ExitCode.REFUSED, "make up STACK=other"),
    ],
)
def test_what_cannot_be_shown_is_said(
    local: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: ExitCode, words: str
) -> None:
    """Standard error says what to do instead."""
    assert logs.main(arguments, root=local) is code
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("lines", ["0", "-1", "10001", "many"])
def test_lines_are_a_number_that_can_be_asked_for(lines: str) -> None:
    """CloudWatch gives at most 10,000 in one answer."""
    with pytest.raises(SystemExit) as ended:
        logs.main(["--lines", lines])
    assert ended.value.code == ExitCode.USAGE


class Cloud:
    """A deployed backend, as far as its tasks and their logs go."""

    def __init__(self) -> None:
        """Make the cluster, the families of the server's and the database's task, and both log groups."""
        self.ecs, self.logs = boto3.client("ecs", region_name=REGION), boto3.client("logs", region_name=REGION)
        self.ecs.create_cluster(clusterName=LOCATOR.service.cluster)
        self.groups = {SERVER: NAMING.log_group(SERVER), DATABASE: NAMING.log_group(TASKS)}
        for part, group in self.groups.items():
            self.logs.create_log_group(logGroupName=group)
            options = {"awslogs-group": group, "awslogs-region": REGION, "awslogs-stream-prefix": part}
            self.ecs.register_task_definition(
                family=getattr(LOCATOR, f"{part}_family"),
                containerDefinitions=[
                    {
                        "name": part,
                        "image": "i",
                        "memory": 512,
                        "logConfiguration": {"logDriver": "awslogs", "options": options},
                    }
                ],
            )

    def task(self, part: str, *lines: str) -> str:
        """Run a task that says these lines; its id."""
        answer = self.ecs.run_task(
            cluster=LOCATOR.service.cluster,
            taskDefinition=getattr(LOCATOR, f"{part}_family"),
            launchType="FARGATE",
            networkConfiguration=NETWORK,
        )
        task = str(answer["tasks"][0]["taskArn"]).rsplit("/", 1)[-1]
        self.says(part, task, *lines)
        return task

    def says(self, part: str, task: str, *lines: str, ago_s: float = 0) -> None:
        """Write lines into a task's stream."""
        where: dict[str, Any] = {"logGroupName": self.groups[part], "logStreamName": f"{part}/{part}/{task}"}
        self.logs.create_log_stream(**where)
        at = int((time.time() - ago_s) * 1000)
        events = [{"timestamp": at + number, "message": line} for number, line in enumerate(lines)]
        self.logs.put_log_events(**where, logEvents=events)


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """Emulated AWS with a backend in it, which the stack is found as."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "x")
    # How a backend is found by its names is tried with the lookup.
    monkeypatch.setattr(Stack, "locator", lambda _: LOCATOR)
    with mock_aws():
        yield Cloud()


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What the command shows."""

    def show(*arguments: str) -> str:
        assert logs.main(["--stack", LOCATOR.stack, *arguments]) is ExitCode.DONE
        return capsys.readouterr().out

    return show


def test_the_servers_audit_is_shown(cloud: Cloud, shown: Callable[..., str]) -> None:
    """Of every task that CloudWatch still has lines of, and of no one-shot task."""
    cloud.task(SERVER, "one", noted(1, **CHANGE), '{"kind":"access"}')
    cloud.task(DATABASE, noted(2, **CHANGE))
    assert shown("--audit") == f"2026-01-01T01:00:00.000Z ann {SHOWN}\n"


def test_the_servers_last_lines_are_shown(cloud: Cloud, shown: Callable[..., str]) -> None:
    """Of each task by its id, the last ones only, with the password of a URL blanked; no one-shot task's."""
    first = cloud.task(SERVER, "one", "two", "postgresql://me:pw@host/db")
    second = cloud.task(SERVER, "three")
    cloud.task(DATABASE, "migrating")
    told = shown("--lines", "2")
    assert f"server {first}: " in told
    assert f"server {second}: " in told
    assert "two\npostgresql://me:***@host/db" in told
    assert "one" not in told
    assert "migrating" not in told


def test_a_task_that_stopped_is_shown_after_those_that_run_and_says_why(
    cloud: Cloud, shown: Callable[..., str]
) -> None:
    """What ECS gave as its reason stands beside the lines: the two together are the cause."""
    stopped = cloud.task(SERVER, "the database is away")
    running = cloud.task(SERVER, "serving")
    cloud.ecs.stop_task(cluster=LOCATOR.service.cluster, task=stopped, reason="Essential container in task exited")
    told = shown()
    assert f"server {stopped}: stopped, Essential container in task exited ({cloud.groups[SERVER]})" in told
    assert told.index(running) < told.index(stopped)


def test_a_task_that_ecs_has_forgotten_is_found_by_its_stream(cloud: Cloud, shown: Callable[..., str]) -> None:
    """An hour after a night's outage ECS knows nothing of it any more; the lines are still there."""
    cloud.says(SERVER, "0ld", "Traceback", ago_s=7200)
    cloud.says(SERVER, "0lder", "long ago", ago_s=9000)
    cloud.says(SERVER, "0ldest", "longest ago", ago_s=9900)
    running = cloud.task(SERVER, "serving")
    told = shown()
    assert told.index(running) < told.index("0ld: ended longer ago than ECS remembers") < told.index("0lder: ")
    assert "0ldest" not in told


def test_one_shot_tasks_are_shown_where_they_are_asked_for(cloud: Cloud, shown: Callable[..., str]) -> None:
    """One option names them; a part that never ran, or that this backend does not have, says so."""
    cloud.task(SERVER, "serving")
    cloud.task(DATABASE, "migrating")
    told = shown("--tasks")
    assert "serving" in told
    assert "migrating" in told
    assert "verify: no task has run" in told
    assert "serving" not in shown(DATABASE)


def test_a_part_that_no_backend_has_is_a_usage_error(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    """Before AWS is asked."""
    assert logs.main(["--stack", LOCATOR.stack, "front"]) is ExitCode.USAGE
    printed = capsys.readouterr().err
    assert not [part for part in ("front", "server", "database", "verify", "backup") if part not in printed]


def test_aws_that_refuses_is_a_failure_of_the_platform(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message has AWS's own code, and no traceback."""
    gone = replace(LOCATOR, service=replace(LOCATOR.service, cluster="gone"))
    monkeypatch.setattr(Stack, "locator", lambda _: gone)
    assert logs.main(["--stack", LOCATOR.stack]) is ExitCode.PLATFORM_FAILED
    assert "ClusterNotFoundException" in capsys.readouterr().err
