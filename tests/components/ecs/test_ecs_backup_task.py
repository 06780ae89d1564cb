"""The command of the task that takes backups on ECS, run as a process against an emulated S3."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from mlflow_backend.ecs import backup_tool
from mlflow_backend.ecs.render import backups
from tests.components.ecs.stacks import REGION, naming_of, settings_of, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator

VARIANT = "everything"
TOOL = backups.tool(settings_of(VARIANT), naming_of(VARIANT), store_of(VARIANT))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The backend's bucket with one artifact, and the destination's."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    given = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
        "AWS_DEFAULT_REGION": REGION,
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    for bucket in (TOOL.bucket, "elsewhere"):
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
    client.put_object(Bucket=TOOL.bucket, Key="artifacts/1/model.bin", Body=b"weights")
    try:
        yield client
    finally:
        client.close()
        server.stop()


def run(*more: str) -> Any:
    """Run what the task runs, and return its report."""
    done = subprocess.run(
        [sys.executable, "-P", *TOOL.command[1:], *more],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    report = json.loads(done.stdout)
    assert report["exit_code"] == done.returncode, done.stdout
    return report


def test_the_task_fetches_its_tool_and_says_what_it_found(s3: Any) -> None:
    """What the update writes is what the command unpacks and runs; its words are one report, also of a refusal."""
    props = {"connection": {"region": REGION}, "bucket": TOOL.bucket, "key": TOOL.key}
    assert not backup_tool.there(props)
    backup_tool.create({**props, "job": TOOL.job, "settings": TOOL.settings})
    assert backup_tool.there(props)
    assert run("--dry-run") == {"exit_code": 0, "toRead": 1, "bytes": len(b"weights"), "unchanged": 0}
    assert run()["code"] == "backup-nothing-serves"
    assert s3.list_objects_v2(Bucket="elsewhere")["KeyCount"] == 0
    backup_tool.delete(props)
    assert not backup_tool.there(props)
