"""Backups of the shipped stack `dev` with real MLflow and Postgres: another machine's restored, its own by a task.

The rig's IAM decides what the task may do. Nothing here shows that AWS starts a task on EventBridge Scheduler's word.
"""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from mlflow_backend.aws.backups import BucketDestination
from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup import catalogue, sealing
from mlflow_backend.contract import ExitCode
from mlflow_backend.local import credentials
from mlflow_backend.local.scratch import FOLDER
from tests.engine import calls
from tests.engine.releases import support
from tests.engine.stack import LocalStack
from tests.rig import contents, originals
from tests.rig.aws.life import Life
from tests.rig.aws.stack import AwsStack
from tests.rig.kubernetes.contents import contents_of
from tests.rig.kubernetes.scheduled import leave_one
from tests.server.servers import install_package, pool
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.rig.aws.rig import AwsRig
    from tests.rig.originals import Original

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(1200)]

VERSION = "3.17.2"
BUCKET = "backups-of-dev"
_TASK_S = 180


class BackedUp(Life):
    """The stack `dev` with a destination for backups."""

    @property
    def destination(self) -> BucketDestination:
        """The stack's backups."""
        return BucketDestination(self.rig.client("s3"), bucket=BUCKET, root=f"team/{self.stack.name}")

    @property
    def contents(self) -> dict[str, Any]:
        """All that users have in it, by the API."""
        login = (self.secrets["admin-user"], self.secrets["admin-password"])
        return contents_of(partial(calls.call, self.stack.outputs()["trackingUrl"], login=login))

    def upload(self, path: str, pieces: Iterator[bytes]) -> urllib3.BaseHTTPResponse:
        """Return the answer to an upload, as the administrator."""
        login = urllib3.make_headers(basic_auth=f"{self.secrets['admin-user']}:{self.secrets['admin-password']}")
        url = f"{self.stack.outputs()['trackingUrl']}/{path}"
        return pool().request("PUT", url, body=b"".join(pieces), headers=login)

    def is_stored(self, path: str) -> bool:
        """Return whether the artifact is in the backend's bucket."""
        below = {"Bucket": self.naming.bucket("data"), "Prefix": f"artifacts/{path}"}
        return bool(self.rig.client("s3").list_objects_v2(**below)["KeyCount"])

    def start(self, part: str) -> tuple[int | None, str]:
        """Do what EventBridge Scheduler does with a schedule; return the task's exit code, and what it said."""
        target = self.rig.client("scheduler").get_schedule(Name=self.naming.schedule(part))["Target"]
        ecs, wanted = self.rig.client("ecs"), target["EcsParameters"]
        network = wanted["NetworkConfiguration"]["awsvpcConfiguration"]
        begun = ecs.run_task(
            cluster=target["Arn"],
            taskDefinition=wanted["TaskDefinitionArn"],
            launchType=wanted["LaunchType"],
            networkConfiguration={
                "awsvpcConfiguration": {f"{name[0].lower()}{name[1:]}": value for name, value in network.items()}
            },
            overrides=json.loads(target.get("Input", "{}")),
        )["tasks"][0]["taskArn"]

        def ended() -> dict[str, Any]:
            task = ecs.describe_tasks(cluster=target["Arn"], tasks=[begun])["tasks"][0]
            return dict(task) if task["lastStatus"] == "STOPPED" else {}

        task = until(ended, what=f"the end of {part}", deadline_s=_TASK_S)
        stream = f"{part}/{part}/{begun.rpartition('/')[2]}"
        events = self.rig.client("logs").get_log_events(
            logGroupName=self.naming.log_group("tasks"), logStreamName=stream, startFromHead=True
        )["events"]
        return task["containers"][0].get("exitCode"), "\n".join(each["message"] for each in events)

    def backup(self, *arguments: str, code: int = ExitCode.DONE) -> dict[str, Any]:
        """Run the command, and return what it printed."""
        done = self.stack.script("backup", "--json", *arguments)
        assert done.code == code, done.text
        return dict(json.loads(done.text[done.text.index("{\n") :]))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A stack of this machine that was used, backed up into a folder, and lost."""
    return originals.make(tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="module")
def dev(original: Original, server_rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> BackedUp:
    """The stack, deployed and not used. The other one is gone before it is made."""
    folder = tmp_path_factory.mktemp("backups")
    package = install_package(folder / "package")
    held = contents.mlflow(VERSION, package, server_rig.authority)
    server_rig.images.publish(VERSION, held, labels=contents.labels(VERSION))
    region = {"LocationConstraint": server_rig.region}
    server_rig.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration=region)
    stack = AwsStack(folder / "stack", server_rig)
    recovery_key = sealing.public_key(original.key.read_text().strip())
    stack.write_settings(
        backup={"destination": f"s3://{BUCKET}/team", "recoveryKey": recovery_key},
        verify={"schedule": "0 * * * *"},
        maintain={"schedule": "0 3 * * 0"},
    )
    stack.must_up()
    naming = Naming(project="mlflow-backend", stack="dev", account=server_rig.account, region=server_rig.region)
    return BackedUp(stack=stack, rig=server_rig, naming=naming)


@pytest.fixture(scope="module")
def key(original: Original) -> str:
    """The option that gives the recovery key."""
    return f"file:{original.key}"


def test_another_machines_backup_restored_onto_it_is_the_backend(dev: BackedUp, original: Original) -> None:
    """By folder and key alone: clients cannot tell it from the original, and the next update is green."""
    refused = dev.stack.script("backup", *original.options("restore", original.manifest.id))
    assert (refused.code, "--recovery-key" in refused.text) == (ExitCode.REFUSED, True), refused.text
    dev.backup(*original.opened("restore", original.manifest.id))
    assert dev.secrets["admin-password"] == original.administrator
    assert dev.contents == original.data
    store = S3Store(dev.rig.client("s3"), bucket=dev.naming.bucket("data"))
    assert store.keys("_backend/staging") == ()
    dev.stack.must_up()
    assert dev.contents == original.data


def test_it_is_undone_by_command_and_repeated(dev: BackedUp, original: Original) -> None:
    """The stack has its own databases, users and keys again, until the same backup is restored anew."""
    dev.backup(*original.options("restore", "--undo"))
    assert dev.secrets["admin-password"] != original.administrator
    assert dev.contents["runs"] == {}
    dev.stack.must_up()
    dev.backup(*original.opened("restore", original.manifest.id))
    dev.stack.must_up()
    assert dev.contents == original.data


def test_a_task_takes_a_backup_that_is_whole(dev: BackedUp) -> None:
    """Both databases' dumps, the artifacts and the keys are at the destination, and their checksums agree."""
    made = dev.backup("create")
    (listed,) = dev.backup("list")["backups"]
    assert (listed["id"], listed["state"]) == (made["id"], "unproved")
    assert dev.backup("verify", "--read") == {"backup": made["id"], "read": True, "damages": []}


def test_its_schedules_start_a_backup_and_a_verification(dev: BackedUp) -> None:
    """Each as its own role; the lines by which alarms know that it happened are in the log."""
    before = len(dev.backup("list")["backups"])
    code, said = dev.start("backup")
    assert (code, '{"backedUp": "dev"}' in said.splitlines()) == (0, True), said
    assert len(dev.backup("list")["backups"]) == before + 1
    code, said = dev.start("verify")
    assert (code, '"verdict": "pass"' in said.splitlines()[0]) == (0, True), said


def test_a_task_maintains_by_command_and_by_its_schedule(dev: BackedUp) -> None:
    """With a role that may write no artifact: row and artifact of what was deleted are gone, by the servers."""
    path = leave_one(dev, "by-command")
    done = dev.stack.script("maintain", "--json", "--dry-run")
    assert (done.code, dev.is_stored(path)) == (ExitCode.DONE, True), done.text
    done = dev.stack.script("maintain", "--json")
    assert (done.code, dev.is_stored(path)) == (ExitCode.DONE, False), done.text
    report = json.loads(done.text[done.text.index("{\n") :])
    assert (report["removed"]["experiments"] > 0, report["kept"]) == (True, {})
    path = leave_one(dev, "by-schedule")
    code, said = dev.start("maintenance")
    assert (code, dev.is_stored(path)) == (0, False), said


def test_a_drill_on_this_machine_proves_it(dev: BackedUp, key: str) -> None:
    """From the bucket and the recovery key: served by a stack of this machine, of which nothing is left."""
    refused = dev.stack.script("backup", "drill")
    assert (refused.code, "--recovery-key" in refused.text) == (ExitCode.REFUSED, True), refused.text
    result = dev.backup("--recovery-key", key, "drill")
    assert (result["outcome"], result["keys_proved"], result["findings"]) == ("proved", True, [])
    assert dev.backup("list")["backups"][-1]["state"] == "proved"
    assert not (dev.stack.project / ".backend" / dev.stack.name / FOLDER).exists()


def test_its_own_backup_restored_onto_it_takes_back_what_was_logged_since(dev: BackedUp, key: str) -> None:
    """Undone, it is there again."""
    before, made = dev.contents, dev.backup("create")
    dev.client("write", "since", "1")
    after = dev.contents
    dev.backup("--recovery-key", key, "restore", made["id"])
    assert dev.contents == before
    dev.backup("restore", "--undo")
    assert dev.contents == after
    dev.stack.must_up()


def test_its_backup_restored_on_a_machine_is_the_backend(
    dev: BackedUp, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the bucket and the key alone, onto a newer Postgres; the next update is green."""
    administrator, made, expected = dev.secrets["admin-password"], dev.backup("create"), dev.contents
    for name, value in dev.rig.environment.items():
        monkeypatch.setenv(name, value)
    machine = LocalStack(tmp_path / "machine", "machine")
    machine.write_settings(access={"mode": "basic"})
    machine.state.path.mkdir(parents=True)
    machine.state.postgres_major.write_text("18\n")
    with contextlib.closing(machine):
        machine.must_up()
        address = ("--destination", f"s3://{BUCKET}/team", "--of", dev.stack.name)
        done = support.run(machine, "backup", *address, "--recovery-key", key, "restore", made["id"])
        assert done.ok, done.text
        machine.must_up()
        login = (credentials.ADMIN_NAME, administrator)
        assert contents_of(partial(calls.call, machine.output("trackingUrl"), login=login)) == expected


def test_a_drill_finds_what_sizes_do_not_show(dev: BackedUp, key: str) -> None:
    """One bit of one artifact's content is another: `verify` calls it whole, and the drill does not."""
    made = dev.backup("create")
    found = catalogue.read(dev.destination).get(made["id"]).manifest
    assert found is not None
    artifact = next(each for each in catalogue.index_of(dev.destination, found).values() if each.size_bytes)
    content = bytearray(b"".join(dev.destination.chunks(artifact.content)))
    content[0] ^= 1
    dev.destination.replace(artifact.content, bytes(content))
    assert dev.backup("verify", made["id"])["damages"] == []
    result = dev.backup("--recovery-key", key, "drill", made["id"], code=ExitCode.VERIFICATION_FAILED)
    assert result["outcome"] == "damaged"
    assert any(artifact.path in each or artifact.content in each for each in result["findings"])


def test_a_bucket_that_the_caller_may_not_read_is_named(dev: BackedUp, key: str) -> None:
    """With the address, and what to allow."""
    elsewhere = ("--destination", "s3://a-bucket-of-nobody/team", "--recovery-key", key)
    done = dev.stack.script("backup", *elsewhere, "drill")
    assert (done.code, "s3://a-bucket-of-nobody/team" in done.text) == (ExitCode.PLATFORM_FAILED, True), done.text
