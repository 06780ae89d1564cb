"""The command of the task that takes backups on ECS, run as a process against an emulated S3."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from mlflow_backend.aws.store import FETCH
from mlflow_backend.backup.tool import DEADLINE_S
from mlflow_backend.ecs.provider import BackupToolProvider
from mlflow_backend.ecs.render import scheduled
from mlflow_backend.schedules import BACKUP
from tests.components.ecs.stacks import REGION, naming_of, settings_of, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIANT = "everything"
TOOL = scheduled.tools(settings_of(VARIANT), naming_of(VARIANT))[BACKUP](store_of(VARIANT), "")
COMMAND = TOOL.command(FETCH)


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    """The backend's bucket with one artifact, and the destination's."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {"ENDPOINT_URL": f"http://{host}:{port}", "ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**given, "DEFAULT_REGION": REGION}.items():
            patch.setenv(f"AWS_{name}", value)
        client = boto3.client("s3")
        for bucket in (TOOL.bucket, "elsewhere"):
            client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        client.put_object(Bucket=TOOL.bucket, Key="artifacts/1/model.bin", Body=b"weights")
        yield client
        client.close()
    server.stop()


def run(*more: str, program: str = COMMAND[2]) -> subprocess.CompletedProcess[str]:
    """Run what the task runs."""
    return subprocess.run(
        [sys.executable, "-P", "-c", program, *COMMAND[3:], *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )


def report(*more: str) -> Any:
    """Run it, and return its report."""
    done = run(*more)
    found = json.loads(done.stdout)
    assert found["exit_code"] == done.returncode, done.stdout
    return found


def test_the_task_fetches_its_tool_and_says_what_it_found(s3: Any) -> None:
    """What the update writes is what the command unpacks and runs; its words are one report, also of a refusal."""
    tool = BackupToolProvider()
    props = {"connection": {"region": REGION}, "bucket": TOOL.bucket, "key": TOOL.key}
    props |= {"job": TOOL.job, "settings": TOOL.settings, "program": TOOL.program}
    assert tool.read(TOOL.key, props).id == ""
    assert tool.create(props).id == TOOL.key
    assert tool.read(TOOL.key, props).id == TOOL.key
    assert not tool.diff(TOOL.key, props, props).changes
    assert tool.diff(TOOL.key, props, {**props, "key": "another"}).replaces == ["key"]
    assert report("--dry-run") == {"exit_code": 0, "toRead": 1, "bytes": len(b"weights"), "unchanged": 0}
    assert report()["code"] == "backup-nothing-serves"
    assert s3.list_objects_v2(Bucket="elsewhere")["KeyCount"] == 0
    tool.delete(TOOL.key, props)
    assert tool.read(TOOL.key, props).id == ""
    assert tool.diff(TOOL.key, props, props).changes


def test_the_task_ends_before_its_lock_does(s3: Any) -> None:
    """Whoever started it: a second backup would begin beside it."""
    s3.put_object(Bucket=TOOL.bucket, Key=TOOL.key, Body=b"")
    program = COMMAND[2]
    limit = f"signal.alarm({DEADLINE_S});"
    assert limit in program
    at_once = program.replace(limit, "signal.setitimer(signal.ITIMER_REAL,0.01);import time;time.sleep(30);")
    assert run(program=at_once).returncode == -signal.SIGALRM
