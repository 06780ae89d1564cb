"""Backups of the shipped stack `dev` by a task of its own: taken from real MLflow and Postgres, listed, read whole.

The rig's IAM decides what the task may do. Nothing here shows that AWS starts a task on EventBridge Scheduler's word.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup import sealing
from tests.rig import contents
from tests.rig.aws.stack import AwsStack
from tests.server.servers import install_package

if TYPE_CHECKING:
    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

VERSION = "3.17.2"
BUCKET = "backups-of-dev"


@pytest.fixture(scope="module")
def dev(server_rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> AwsStack:
    """The stack with a destination for backups, deployed."""
    folder = tmp_path_factory.mktemp("backups")
    package = install_package(folder / "package")
    held = contents.mlflow(VERSION, package, server_rig.authority)
    server_rig.images.publish(VERSION, held, labels=contents.labels(VERSION))
    region = {"LocationConstraint": server_rig.region}
    server_rig.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=region)
    stack = AwsStack(folder / "stack", server_rig)
    recovery = sealing.public_key(sealing.new_key())
    stack.write_settings(backup={"destination": f"s3://{BUCKET}/team", "recoveryKey": recovery})
    stack.must_up()
    return stack


def test_a_task_takes_a_backup_that_is_whole(dev: AwsStack) -> None:
    """Both databases' dumps, the artifacts and the keys are at the destination, and their checksums agree."""
    taken = dev.script("backup", "create")
    assert taken.code == 0, taken.text
    found = json.loads(dev.script("backup", "list", "--json").text)
    (backup,) = found["backups"]
    verified = dev.script("backup", "verify", "--read", "--json")
    assert verified.code == 0, verified.text
    assert json.loads(verified.text) == {"backup": backup["id"], "read": True, "damages": []}
