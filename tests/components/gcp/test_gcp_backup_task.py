"""The task that takes backups to Cloud Storage: what it is packed with is enough, and which roles are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.backup import catalogue, job, restore, sealing
from mlflow_backend.backup import task as packed_task
from mlflow_backend.codec import to_document
from mlflow_backend.contract import ExitCode
from mlflow_backend.gcp import backup_task
from mlflow_backend.gcp.api import STORAGE
from mlflow_backend.gcp.backups import BucketDestination
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.gcp.store import GcsStore
from mlflow_backend.releases.ledger import Ledger
from tests.components.aws.packed import run_packed
from tests.components.backup.tasks import Tool, release
from tests.components.gcp.emulated_google import EmulatedGoogle

if TYPE_CHECKING:
    from pathlib import Path

OWN, THERE = GcsRoot(bucket="data", root="r"), GcsRoot(bucket="elsewhere", root="team/gcp")
KEY = sealing.new_key()


def job_of(recovery_key: str) -> str:
    """Return the job of a stack's backups."""
    wanted = job.BackupJob(
        target="cloudrun",
        stack="gcp",
        store=job.Bucket(bucket=OWN.bucket, root=OWN.root),
        artifacts=OWN.prefix("artifacts"),
        destination=job.Bucket(bucket=THERE.bucket, root=THERE.root),
        recovery_key=recovery_key,
    )
    return json.dumps(to_document(wanted))


def test_what_it_is_packed_with_is_enough(tmp_path: Path) -> None:
    """Without this project and what it depends on, it begins, looks for its identity, and reports what fails."""
    (tmp_path / job.TOOL).write_bytes(job.bundle(cloud="gcp"))
    (tmp_path / job.JOB).write_text(job_of("age1"))
    (tmp_path / job.SETTINGS).write_text("{}")
    nobody = tmp_path / "none.json"
    done = run_packed(
        tmp_path / job.TOOL, str(tmp_path), GOOGLE_APPLICATION_CREDENTIALS=str(nobody), HOME=str(tmp_path)
    )
    report = json.loads(done.stdout)
    assert (report["exit_code"], report["code"], done.returncode) == (3, "gcp-no-credentials", 3), done.stderr


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmulatedGoogle:
    """A backend with one release and one artifact, whose task finds its job in `tmp_path`."""
    made = EmulatedGoogle()
    made.bucket(OWN.bucket)
    made.bucket(THERE.bucket)
    (tmp_path / job.JOB).write_text(job_of(sealing.public_key(KEY)))
    (tmp_path / job.SETTINGS).write_text("config: {}")
    store = GcsStore(made, OWN)
    Ledger(store, by="a test").add_release(release("one"))
    store.create("artifacts/1/model.bin", b"weights")
    monkeypatch.setattr(backup_task, "shared", lambda: made)
    monkeypatch.setenv(job.variable("flask-secret-key"), "of the sessions")
    monkeypatch.setattr(packed_task, "DatabaseTool", lambda _runner: Tool(_putting(made)))
    return made


def _putting(api: EmulatedGoogle) -> Any:
    bucket = GcsStore(api, GcsRoot(bucket=OWN.bucket))
    return lambda address, content: bucket.create(address.removeprefix(f"gs://{OWN.bucket}/"), content)


def test_a_task_takes_a_whole_backup_and_leaves_no_dump_in_plain(
    api: EmulatedGoogle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The recovery key alone opens it, a second one has nothing to copy, and a bucket that is gone is named."""
    assert backup_task.main([str(tmp_path)]) == ExitCode.DONE
    made = json.loads(capsys.readouterr().out)["backup"]["id"]
    destination = BucketDestination(api, THERE)
    found = catalogue.read(destination).newest
    assert found is not None
    assert (found.id, found.target, found.image_digest) == (made, "cloudrun", "sha256:one")
    assert catalogue.damages(destination, found, read_all=True) == ()
    assert restore.opened_secrets(destination, found, KEY) == {"flask-secret-key": "of the sessions"}
    assert BucketDestination(api, OWN).listing("_backend/staging") == ()
    assert backup_task.main([str(tmp_path), job.DRY_RUN]) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out)["toRead"] == 0
    for key, _ in list(destination.items()):
        destination.delete(key)
    api.call("DELETE", STORAGE, f"storage/v1/b/{THERE.bucket}")
    assert backup_task.main([str(tmp_path)]) == ExitCode.PLATFORM_FAILED
    assert THERE.address("") in json.loads(capsys.readouterr().out)["error"]
    assert not GcsStore(api, OWN).is_locked("backup")
