"""The task that maintains: what it is packed with is enough, what it reports, and the lock that it shares."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import boto3
import moto
import pytest

from mlflow_backend.aws import maintain_task
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backup import create, job, maintain_job
from mlflow_backend.backup import maintain_task as packed_task
from mlflow_backend.backup.job import Bucket
from mlflow_backend.backup.maintain_job import MaintainJob
from mlflow_backend.codec import from_document, to_document
from mlflow_backend.contract import ExitCode
from mlflow_backend.maintenance import Maintained
from tests.components.aws.packed import run_packed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "data"
NOWHERE = "http://127.0.0.1:9"


def job_at(folder: Path, *, endpoint: str | None = None) -> None:
    """Write the job of a backend."""
    wanted = MaintainJob(
        store=Bucket(bucket=BUCKET, root="r", region="us-east-1", endpoint=endpoint),
        artifacts="r/artifacts",
        address=f"s3://{BUCKET}/r/artifacts",
        keep_deleted_days=30,
        at_once="_verify/",
    )
    (folder / job.JOB).write_text(json.dumps(to_document(wanted)))


def test_what_it_is_packed_with_is_enough(tmp_path: Path) -> None:
    """Without this project and what it depends on, it begins, asks the store, and says what fails as a report."""
    (tmp_path / job.TOOL).write_bytes(maintain_job.bundle())
    job_at(tmp_path, endpoint=NOWHERE)
    done = run_packed(tmp_path / job.TOOL, str(tmp_path))
    report = json.loads(done.stdout)
    assert (report["exit_code"], report["code"], done.returncode) == (4, "store-unreachable", 4), done.stderr


class Tool:
    """A database tool that has removed one run."""

    asked: tuple[float, str, bool] = (0, "", False)

    def __init__(self, _runner: object) -> None:
        pass

    def maintain(self, *, days: float, at_once: str, dry_run: bool) -> dict[str, Any]:
        """Note what was chosen."""
        Tool.asked = (days, at_once, dry_run)
        return {"removed": {"runs": 1}, "kept": {"run b": "why"}, "databases": {}}

    def kept(self) -> tuple[str, ...]:
        """Return one database."""
        return ("mlflow__before_1",)


class Cursor:
    """A cursor on a database with one experiment and one run."""

    def __init__(self) -> None:
        self.rows: list[Any] = []

    def execute(self, statement: str, _values: object = None) -> None:
        """Know three statements by their words."""
        known = {"FROM runs": [("a", "mlflow-artifacts:/1/a/artifacts")], "experiment_id::text": [("1", "fraud")]}
        self.rows = next((rows for words, rows in known.items() if words in statement), [])
        if "information_schema" in statement:
            self.rows = [(1,)] if _values == ("runs", "artifact_uri") else []

    def fetchone(self) -> Any:
        """Return the first row."""
        return self.rows[0] if self.rows else None

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        return self.rows


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket with the artifacts of a run, some of none, and two dumps."""
    job_at(tmp_path)
    monkeypatch.setattr(packed_task, "DatabaseTool", Tool)
    monkeypatch.setattr(packed_task, "_reading", lambda: contextlib.nullcontext(Cursor()))
    monkeypatch.setattr(packed_task, "_POLL_S", 0.01)
    with moto.mock_aws():
        made = boto3.client("s3", region_name="us-east-1")
        made.create_bucket(Bucket=BUCKET)
        for key in ("_backend/dumps/one/a.dump", "_backend/dumps/one/manifest.json", "_backend/dumps/two/a.dump"):
            made.put_object(Bucket=BUCKET, Key=f"r/{key}", Body=b"dumped")
        for path in ("1/a/artifacts/model.bin", "9/gone.bin"):
            made.put_object(Bucket=BUCKET, Key=f"r/artifacts/{path}", Body=b"weights")
        yield made


def done(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """Run the task, and return its exit code and its report."""
    code = maintain_task.main(arguments)
    report = json.loads(capsys.readouterr().out)
    assert report["exit_code"] == code
    return code, report


def test_the_report_says_all_that_is_said_on_this_machine(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It comes back as the same value: artifacts by experiment, those of nothing, dumps, databases that were kept."""
    del client
    code, report = done(capsys, str(tmp_path))
    found = from_document(Maintained, report["maintained"])
    assert (code, Tool.asked) == (ExitCode.DONE, (30, "_verify/", False))
    assert [(each.id, each.name, each.bytes) for each in found.experiments] == [("1", "fraud", 7), ("9", None, 7)]
    assert found.lost == {"9/gone.bin": 7}
    assert {each.name: each.bytes for each in found.dumps} == {"one": 12, "two": 6}
    assert (found.removed, found.kept, found.kept_databases) == ({"runs": 1}, {"run b": "why"}, ("mlflow__before_1",))
    assert not any("temporary" in line for line in found.lines())


def test_a_dry_run_and_other_days_are_passed_on(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is typed by hand is not what the schedule does."""
    del client
    done(capsys, str(tmp_path), "--dry-run", "--keep-deleted-days", "7")
    assert Tool.asked == (7, "_verify/", True)


def test_a_backup_under_way_is_waited_for_or_refuses(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A backup must not name artifacts that are removed under it; nothing was touched, and the lock is free again."""
    Tool.asked = (0, "", False)
    store = S3Store(client, bucket=BUCKET, root="r")
    with store.locked(create.LOCK, by="another"):
        for wait in ("0", "0.05"):
            code, report = done(capsys, str(tmp_path), "--wait", wait)
            assert (code, report["code"]) == (ExitCode.REFUSED, "backend-locked")
    assert Tool.asked == (0, "", False)
    assert done(capsys, str(tmp_path), "--wait", "5")[0] == ExitCode.DONE
    assert not store.is_locked(create.LOCK)


def test_a_database_that_is_away_is_said(
    client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report names the part, and no password of the URI."""
    del client
    monkeypatch.undo()
    monkeypatch.setattr(packed_task, "DatabaseTool", Tool)
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", "postgresql+psycopg2://user:hidden@127.0.0.1:9/mlflow")
    code, report = done(capsys, str(tmp_path))
    assert (code, report["code"]) == (ExitCode.PLATFORM_FAILED, "maintain-task-database-not-answering")
    assert "hidden" not in json.dumps(report)
