"""The task that verifies on a schedule: what it is packed with is enough, what it knows and ends with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import boto3
import moto
import pytest

from mlflow_backend.aws import verify_task
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup import job, verify_job
from mlflow_backend.backup.job import Bucket
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.codec import to_document
from mlflow_backend.contract import ExitCode
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.releases.reports import Reports
from mlflow_backend.schema import Heads
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from tests.components.aws.packed import run_packed
from tests.loopback_http import Handler, LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "data"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def url() -> Iterator[str]:
    """Serve what has the version of an MLflow, and nothing else of it."""

    class Versioned(Handler):
        def reply(self) -> None:
            body = {"/version": b"3.17.2", "/health": b"OK"}.get(self.path, b"")
            self.answer(200 if body else 404, body)

    with LoopbackServer(Versioned) as server:
        yield server.url


def job_at(folder: Path, url: str, *, endpoint: str | None = None) -> None:
    """Write what is verified."""
    wanted = ScheduledVerification(
        store=Bucket(bucket=BUCKET, root="r", region="us-east-1", endpoint=endpoint),
        subject=Subject(url=url, access=True, stack="cluster", proxied=False),
        request=VerifyRequest(deadline_s=20),
    )
    (folder / job.JOB).write_text(json.dumps(to_document(wanted)))


def test_what_it_is_packed_with_is_enough(tmp_path: Path, url: str) -> None:
    """Without this project and what it depends on it verifies, and says that the ledger cannot be read."""
    (tmp_path / job.TOOL).write_bytes(verify_job.bundle())
    job_at(tmp_path, url, endpoint=NOWHERE)
    done = run_packed(tmp_path / job.TOOL, str(tmp_path))
    verdict, _, report = done.stdout.partition("\n")
    assert (json.loads(verdict)["verdict"], json.loads(report)["verdict"]) == ("fail", "fail"), done.stderr
    assert done.returncode == ExitCode.VERIFICATION_FAILED
    # Checks read tables as files, which those within a zip are not.
    assert "probe-error" not in report
    (identity,) = [each for each in json.loads(report)["checks"] if each["name"] == "identity"]
    assert identity["result"] != "pass"


@pytest.fixture
def store() -> Iterator[S3Store]:
    """The store of a backend whose last release is known by its ledger."""
    with moto.mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        made = S3Store(client, bucket=BUCKET, root="r")
        release = VerifiedRelease(
            target="kubernetes",
            revision="one",
            mlflow_version="3.17.2",
            heads=Heads(tracking="a", auth="b"),
            settings_hash="h",
            verification_id="v",
            verdict="pass",
            image_digest="sha256:one",
        )
        Ledger(made, by="a test").add_release(release)
        yield made


def test_a_red_report_ends_the_task_red_and_is_not_the_one_that_updates_read(
    store: S3Store, tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The version is the one that the ledger says serves, so that a rollback needs no update of the schedule."""
    job_at(tmp_path, url)
    assert verify_task.main([str(tmp_path)]) == ExitCode.VERIFICATION_FAILED
    verdict, _, report = capsys.readouterr().out.partition("\n")
    assert (json.loads(verdict)["verdict"], json.loads(report)["expected_version"]) == ("fail", "3.17.2")
    assert Reports(store).latest() is None


def test_a_ledger_that_cannot_be_read_is_said_by_a_check(
    store: S3Store, tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verification goes on, and does not pass for a backend whose data nobody can tell from another's."""
    for key in store.keys("_backend/ledger"):
        store.replace(key, b"damaged")
    job_at(tmp_path, url)
    assert verify_task.main([str(tmp_path)]) != ExitCode.DONE
    report = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert {each["result"] for each in report["checks"] if each["name"] == "identity"} != {"pass"}
