"""The task that takes backups: what it is packed with is enough, and which release serves is the ledger's word."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import moto
import pytest

from mlflow_backend.aws import backup_task
from mlflow_backend.aws.backups import BucketArtifacts, BucketDestination
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup import job
from mlflow_backend.identity import OBJECT
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.schema import Heads

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "data"
# What the task may import is in the zip, in Python itself, or in MLflow's own environment.
_FORBID = """
import runpy, sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"pyrage", "pulumi", "pydantic", "yaml", "rich", "psutil", "cronsim"}:
            raise ImportError(f"{name} is not in the server's image")
sys.meta_path.insert(0, Forbidden())
sys.path = [each for each in sys.path if not each.endswith("components")]
archive, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(archive, run_name="__main__")
"""


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
    done = subprocess.run(
        [sys.executable, "-c", _FORBID, str(tmp_path / job.TOOL), str(tmp_path), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"},
    )
    report = json.loads(done.stdout)
    assert (report["exit_code"], report["code"], done.returncode) == (4, "store-unreachable", 4), done.stderr


def test_equal_modules_are_one_zip() -> None:
    """Otherwise each update would change the ConfigMap."""
    assert job.bundle() == job.bundle()


def release(revision: str) -> VerifiedRelease:
    """Return a verified release."""
    return VerifiedRelease(
        target="kubernetes",
        revision=revision,
        mlflow_version="3.17.2",
        heads=Heads(tracking="a", auth="b"),
        settings_hash=revision,
        verification_id="v",
        verdict="pass",
        image_digest=f"sha256:{revision}",
    )


def test_the_release_that_serves_is_the_pinned_one_or_the_last(client: Any) -> None:
    """A rollback pins what it serves; without a release there is nothing to back up."""
    ledger = Ledger(S3Store(client, bucket=BUCKET), by="a test")
    assert backup_task.served(ledger) is None
    for revision in ("one", "two"):
        ledger.add_release(release(revision))
    found = backup_task.served(ledger)
    assert found is not None
    assert found.image_digest == "sha256:two"
    ledger.add_rollback(to="one", rolled_back_from="two", reason="a test", detail={})
    back = backup_task.served(ledger)
    assert back is not None
    assert back.revision == "one"


def test_artifacts_are_listed_read_and_created_below_their_root(client: Any) -> None:
    """The store's identity is no artifact, and a file that was deleted meanwhile is known by its error."""
    artifacts = BucketArtifacts(client, bucket=BUCKET, root="r/artifacts")
    for key in (f"r/artifacts/{OBJECT}", "r/artifacts/1/folder/", "r/other", "r/artifacts/1/a.txt"):
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    artifacts.create("1/b.txt", iter([b"one", b"two"]))
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
