"""The task that takes backups: what it is packed with is enough, and which release serves is the ledger's word."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import moto
import pytest

from mlflow_backend.aws import backup_task
from mlflow_backend.aws.backups import BucketArtifacts, BucketDestination
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup import catalogue, create, job, restore, sealing
from mlflow_backend.backup import task as packed_task
from mlflow_backend.backup.source import recorded
from mlflow_backend.codec import to_document
from mlflow_backend.contract import ExitCode
from mlflow_backend.identity import OBJECT
from mlflow_backend.releases.ledger import Ledger
from tests.components.aws.packed import run_packed
from tests.components.backup.tasks import Tool, release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


BUCKET = "data"


@pytest.fixture
def client() -> Iterator[Any]:
    """A bucket."""
    with moto.mock_aws():
        made = boto3.client("s3", region_name="us-east-1")
        made.create_bucket(Bucket=BUCKET)
        yield made


def test_what_it_is_packed_with_is_enough(tmp_path: Path) -> None:
    """Without this project and what it depends on, it begins, asks the store, and says what fails as a report."""
    (tmp_path / job.TOOL).write_bytes(job.bundle())
    nowhere = {"bucket": "b", "root": "r", "region": "us-east-1", "endpoint": "http://127.0.0.1:9"}
    wanted = {
        "target": "kubernetes",
        "stack": "s",
        "store": nowhere,
        "artifacts": "r/artifacts",
        "recovery_key": "age1",
    }
    (tmp_path / job.JOB).write_text(json.dumps({**wanted, "destination": nowhere}))
    (tmp_path / job.SETTINGS).write_text("{}")
    done = run_packed(tmp_path / job.TOOL, str(tmp_path), str(tmp_path))
    report = json.loads(done.stdout)
    assert (report["exit_code"], report["code"], done.returncode) == (4, "store-unreachable", 4), done.stderr


def test_equal_modules_are_one_zip() -> None:
    """Otherwise each update would change the ConfigMap."""
    assert job.bundle() == job.bundle()


def test_the_release_that_serves_is_the_pinned_one_or_the_last(client: Any) -> None:
    """A rollback pins what it serves; without a release there is nothing to back up."""
    ledger = Ledger(S3Store(client, bucket=BUCKET), by="a test")
    assert recorded(ledger) is None
    for revision in ("one", "two"):
        ledger.add_release(release(revision))
    found = recorded(ledger)
    assert found is not None
    assert found.image_digest == "sha256:two"
    ledger.add_rollback(to="one", rolled_back_from="two", reason="a test", detail={})
    back = recorded(ledger)
    assert back is not None
    assert back.revision == "one"


def test_artifacts_are_listed_read_and_created_below_their_root(client: Any) -> None:
    """The store's identity is no artifact, and a file that was deleted meanwhile is known by its error."""
    artifacts = BucketArtifacts(client, bucket=BUCKET, root="r/artifacts")
    for key in (f"r/artifacts/{OBJECT}", "r/artifacts/1/folder/", "r/other", "r/artifacts/1/a.txt"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    artifacts.create("1/b.txt", iter([b"one", b"two"]), size_bytes=6)
    listed = {each.path: each for each in artifacts.listing()}
    assert {path: each.size_bytes for path, each in listed.items()} == {"1/a.txt": 1, "1/b.txt": 6}
    assert listed["1/a.txt"].stamp != listed["1/b.txt"].stamp
    assert b"".join(artifacts.reading("1/b.txt")) == b"onetwo"
    with pytest.raises(FileNotFoundError):
        list(artifacts.reading("1/gone"))


def test_clearing_deletes_what_is_below_and_nothing_else(client: Any) -> None:
    """Dumps in plain go, and the ledger beside them stays."""
    own = BucketDestination(client, bucket=BUCKET, root="r")
    for key in ("_backend/staging/1/tracking.dump", "_backend/staging/2", "_backend/ledger/1"):
        own.create(key, b"x")
    own.clear("_backend/staging")
    assert [key for key, _ in own.items()] == ["_backend/ledger/1"]


KEY = sealing.new_key()
ELSEWHERE = "elsewhere"


@pytest.fixture
def task(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a task whose backend has one release and one artifact."""
    client.create_bucket(Bucket=ELSEWHERE)
    store = job.Bucket(bucket=BUCKET, root="r", region="us-east-1")
    wanted = job.BackupJob(
        target="kubernetes",
        stack="cluster",
        store=store,
        artifacts="r/artifacts",
        destination=job.Bucket(bucket=ELSEWHERE, root="team/cluster", region="us-east-1"),
        recovery_key=sealing.public_key(KEY),
    )
    (tmp_path / job.JOB).write_text(json.dumps(to_document(wanted)))
    (tmp_path / job.SETTINGS).write_text("config: {}")
    (tmp_path / "secrets" / "..data").mkdir(parents=True)
    (tmp_path / "secrets" / "flask-secret-key").write_text("of the sessions")
    Ledger(S3Store(client, bucket=BUCKET, root="r"), by="a test").add_release(release("one"))
    client.put_object(Bucket=BUCKET, Key="r/artifacts/1/model.bin", Body=b"weights")
    monkeypatch.setattr(packed_task, "DatabaseTool", lambda _runner: Tool(_putting(client)))
    return [str(tmp_path), str(tmp_path / "secrets")]


def _putting(client: Any) -> Callable[[str, bytes], object]:
    """Return what writes an object of the bucket by its address."""
    return lambda address, content: client.put_object(
        Bucket=BUCKET, Key=address.removeprefix(f"s3://{BUCKET}/"), Body=content
    )


def reported(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Return what the task printed at its end."""
    return dict(json.loads(capsys.readouterr().out))


def test_a_task_takes_a_whole_backup_and_leaves_no_dump_in_plain(
    client: Any, task: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The recovery key alone opens it, and a second one has nothing to copy."""
    assert backup_task.main([*task, "--dry-run"]) == ExitCode.DONE
    assert reported(capsys)["toRead"] == 1
    assert backup_task.main(task) == ExitCode.DONE
    made = reported(capsys)["backup"]["id"]
    destination = BucketDestination(client, bucket=ELSEWHERE, root="team/cluster")
    found = catalogue.read(destination).newest
    assert found is not None
    assert (found.id, found.mlflow_version, found.image_digest) == (made, "3.17.2", "sha256:one")
    assert catalogue.damages(destination, found, read_all=True) == ()
    assert restore.opened_secrets(destination, found, KEY) == {"flask-secret-key": "of the sessions"}
    assert BucketDestination(client, bucket=BUCKET, root="r").listing("_backend/staging") == ()
    assert backup_task.main([*task, "--dry-run"]) == ExitCode.DONE
    assert (reported(capsys)["toRead"], found.artifacts.files) == (0, 1)


def test_two_at_once_are_one(client: Any, task: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The second is refused before it writes anything; a CronJob's and a person's are held to the same lock."""
    with S3Store(client, bucket=BUCKET, root="r").locked(create.LOCK, by="another"):
        assert backup_task.main(task) == ExitCode.REFUSED
    assert reported(capsys)["code"] == "backend-locked"
    assert list(BucketDestination(client, bucket=ELSEWHERE).items()) == []


def test_a_bucket_that_is_gone_fails_before_the_database_is_dumped(
    client: Any, task: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Its address is in the report, and the lock is given back."""
    client.delete_bucket(Bucket=ELSEWHERE)
    assert backup_task.main(task) == ExitCode.PLATFORM_FAILED
    assert f"s3://{ELSEWHERE}/team/cluster" in reported(capsys)["error"]
    store = S3Store(client, bucket=BUCKET, root="r")
    assert (store.is_locked(create.LOCK), store.keys("_backend/staging")) == (False, ())
